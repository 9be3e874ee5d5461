"""Log groups: each with our own key, and with an end."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from lib.environments import EnvironmentSize

_DAYS = {30: logs.RetentionDays.ONE_MONTH, 90: logs.RetentionDays.THREE_MONTHS, 365: logs.RetentionDays.ONE_YEAR}


def log_group(
    scope: Construct, construct_id: str, *, key: kms.IKey, size: EnvironmentSize, name: str | None = None, outlives: bool = False
) -> logs.LogGroup:
    """Make a group; `outlives`: where data outlives its stack, this does too."""
    return logs.LogGroup(
        scope,
        construct_id,
        log_group_name=name,
        encryption_key=key,
        retention=_DAYS[size.log_days],
        removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if outlives and size.protected else cdk.RemovalPolicy.DESTROY,
    )
