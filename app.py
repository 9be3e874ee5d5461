"""The CDK app: `make synth`, or `cdk deploy -c environmentSuffix=prod -c certificateArn=…`."""

import json
import os
import sys
from pathlib import Path

# Where jsii, under the CDK, unpacks its libraries, once it is imported. In ~/.cache it refuses to where a group may write, as Debian's users' own groups may.
os.environ.setdefault("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(Path(sys.prefix) / "jsii"))

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, PCIDSS321Checks

from lib.environments import ConfigurationError, size_of
from lib.options import Options
from lib.tap_stack import TapStack
from payments.runtime.topology import Names


def main() -> None:
    """Synthesise the stack that the context asks for."""
    # The command line reads the flags from cdk.json; without it (`make synth`, the tests) they must be the same.
    app = cdk.App(context=json.loads(Path(__file__).with_name("cdk.json").read_text(encoding="utf-8"))["context"])
    suffix = app.node.try_get_context("environmentSuffix") or "dev"
    region = app.node.try_get_context("region") or os.environ.get("CDK_DEFAULT_REGION")
    try:
        if mistake := Options.of(app).mistake(suffix, protected=size_of(suffix).protected):
            raise ConfigurationError(mistake)
        TapStack(app, Names(suffix).stack, env=cdk.Environment(region=region) if region else None)
    except ConfigurationError as mistake:
        print(mistake, file=sys.stderr)  # noqa: T201 - the command line's one line
        sys.exit(1)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(), PCIDSS321Checks())
    app.synth()


main()
