"""The CDK app: `make synth`, or `cdk deploy -c environmentSuffix=prod -c certificateArn=…`."""

import json
import os
import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, PCIDSS321Checks

from lib.environments import ConfigurationError, read_serving
from lib.tap_stack import TapStack, TapStackProps
from payments.runtime.topology import Names


def main() -> None:
    """Synthesise the stack that the context asks for."""
    # The command line reads the flags from cdk.json; without it (`make synth`, the tests) they must be the same.
    app = cdk.App(context=json.loads(Path(__file__).with_name("cdk.json").read_text(encoding="utf-8"))["context"])
    context = app.node.try_get_context
    suffix = context("environmentSuffix") or "dev"
    try:
        TapStack(
            app,
            Names(suffix).stack,
            props=TapStackProps(
                environment_suffix=suffix,
                certificate_arn=context("certificateArn"),
                allow_http=str(context("allowHttp")).lower() == "true",
                public_url=context("publicUrl"),
                image_tag=context("imageTag") or "latest",
                serving=read_serving(context("serving")),
                alarm_email=context("alarmEmail"),
                private_webhooks=str(context("privateWebhooks")).lower() == "true",
                region=context("region") or os.environ.get("CDK_DEFAULT_REGION"),
            ),
        )
    except ConfigurationError as mistake:
        print(mistake, file=sys.stderr)  # noqa: T201 - the command line's one line
        sys.exit(1)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(), PCIDSS321Checks())
    app.synth()


main()
