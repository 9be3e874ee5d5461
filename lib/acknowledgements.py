"""Findings of cdk-nag that stand, each with its reason. One finding on one construct at a time: nothing is acknowledged by wildcard."""

from collections.abc import Mapping

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Acknowledge findings on one construct, each by its full id."""
    target = construct.node.default_child or construct
    cdk.Validations.of(target).acknowledge(*(cdk.Acknowledgment(id=finding, reason=reason) for finding, reason in reasons.items()))
