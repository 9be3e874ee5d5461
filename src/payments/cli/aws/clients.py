"""AWS's APIs, and one line for what goes wrong with them."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from payments.cli.data_directory import UsageError

if TYPE_CHECKING:  # the types are a development tool: they aren't there where the command runs
    from mypy_boto3_application_autoscaling.client import ApplicationAutoScalingClient
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_codedeploy.client import CodeDeployClient
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ecr.client import ECRClient
    from mypy_boto3_ecs.client import ECSClient
    from mypy_boto3_elbv2.client import ElasticLoadBalancingv2Client
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_rds.client import RDSClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_service_quotas.client import ServiceQuotasClient
    from mypy_boto3_ssm.client import SSMClient
    from mypy_boto3_sts.client import STSClient

_boto3: Any = boto3  # its own annotations name clients whose types aren't installed
_CREDENTIALS_REFUSED = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""By which services refuse credentials as such: those of an account that hasn't enabled the region, too."""
_FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """The clients of one account and region."""

    region: str
    cloudformation: "CloudFormationClient"
    cloudwatch: "CloudWatchClient"
    codedeploy: "CodeDeployClient"
    ec2: "EC2Client"
    ecr: "ECRClient"
    ecs: "ECSClient"
    elbv2: "ElasticLoadBalancingv2Client"
    iam: "IAMClient"
    logs: "CloudWatchLogsClient"
    quotas: "ServiceQuotasClient"
    rds: "RDSClient"
    scaling: "ApplicationAutoScalingClient"
    secrets: "SecretsManagerClient"
    ssm: "SSMClient"
    sts: "STSClient"


def connect(region: str | None) -> Aws:
    """Return the clients; nothing is called yet. Raises `UsageError` without a region."""
    region = region or os.environ.get("AWS_REGION")
    try:
        session = _boto3.Session(region_name=region)
    except ProfileNotFound as failure:
        raise UsageError(f"{failure}. Set AWS_PROFILE to one that there is.") from None
    if session.region_name is None:
        raise UsageError("No region: give --region, or set AWS_REGION.")
    config = Config(retries={"mode": "standard", "max_attempts": 6}, connect_timeout=5, read_timeout=60)

    def client(service: str) -> Any:
        return session.client(service, config=config)

    return Aws(
        region=session.region_name,
        cloudformation=client("cloudformation"),
        cloudwatch=client("cloudwatch"),
        codedeploy=client("codedeploy"),
        ec2=client("ec2"),
        ecr=client("ecr"),
        ecs=client("ecs"),
        elbv2=client("elbv2"),
        iam=client("iam"),
        logs=client("logs"),
        quotas=client("service-quotas"),
        rds=client("rds"),
        scaling=client("application-autoscaling"),
        secrets=client("secretsmanager"),
        ssm=client("ssm"),
        sts=client("sts"),
    )


@contextmanager
def one_line_errors() -> Generator[None]:
    """Turn what AWS's SDK raises into a `UsageError` that says what to do."""
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError):
        raise UsageError(
            "No AWS credentials: run `aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from None
    except NoRegionError:
        raise UsageError("No region: give --region, or set AWS_REGION.") from None
    except EndpointConnectionError as failure:
        raise UsageError(f"AWS can't be reached: {failure}. Is there such a region, and a connection to the internet?") from None
    except ClientError as failure:
        raise UsageError(_explain(failure)) from None
    except BotoCoreError as failure:
        raise UsageError(f"AWS: {failure}") from None


def error_code(failure: ClientError) -> str:
    """Return AWS's name for what went wrong."""
    return str(failure.response.get("Error", {}).get("Code", ""))


def error_message(failure: ClientError) -> str:
    """Return AWS's sentence, on one line."""
    return " ".join(str(failure.response.get("Error", {}).get("Message", failure)).split())


def _explain(failure: ClientError) -> str:
    code, message = error_code(failure), error_message(failure)
    if code in _CREDENTIALS_REFUSED:
        return (
            "AWS doesn't accept the credentials (expired, or wrong, or of an account that hasn't enabled this region): log in again, for instance with "
            "`aws sso login`."
        )
    if code in _FORBIDDEN:
        return f"These credentials may not {failure.operation_name}: {message}"
    return f"AWS refused {failure.operation_name}: {message} ({code})"
