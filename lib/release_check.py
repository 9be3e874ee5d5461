"""The Lambda function that CodeDeploy calls to try a release out, `lib/hooks/synthetic_payment.py`, with the rights that it needs."""

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from lib.network_function import Place, Work, deployment_groups, network_function
from lib.security_stack import TEST_LISTENER_PORT, closed_group
from payments.runtime.topology import PUBLIC_PATHS, SANDBOX_KEY_PREFIX, SERVICES, TRIAL_HEADER, ApiSecretField, Names, Service

_SECONDS_MAX = 300
"""Longer than the check's own attempts and pauses can take, so that CodeDeploy always hears how it went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseCheckProps:
    """What the check depends on."""

    place: Place
    sandbox_secret_arn: str
    live_url: str
    """The listener that customers use, by the load balancer's own name."""
    test_url: str
    """Likewise the test listener."""
    public_url: str | None


class ReleaseCheck(Construct):
    """Exposes `function`, and the `security_group` that lets out to AWS."""

    def __init__(self, scope: Construct, construct_id: str, *, props: ReleaseCheckProps) -> None:
        super().__init__(scope, construct_id)
        suffix = props.place.environment_suffix
        environment = {
            "FRONT_DOOR": json.dumps(_front_door(Names(suffix))),
            "LIVE_URL": props.live_url,
            "TEST_URL": props.test_url,
            "SANDBOX_SECRET_ARN": props.sandbox_secret_arn,
            "KEY_PREFIX": SANDBOX_KEY_PREFIX,
            "TRIAL_HEADER": TRIAL_HEADER,
            "KEY_FIELD": ApiSecretField.SANDBOX_KEY.value,
        }
        if props.public_url is not None:
            environment["SERVER_NAME"] = urlsplit(props.public_url).hostname or ""
        groups = deployment_groups(self, suffix, list(Service))
        self.security_group = self._security_group(props.place.vpc, plain=props.live_url.startswith("http:"))
        work = Work(
            name=Names(suffix).hook_function,
            module="synthetic_payment",
            log="release-check",
            description="Pays in test mode on the test listener before a release gets traffic",
            role_description="Tries releases out: reads the sandbox's key, and tells CodeDeploy how it went",
            seconds_max=_SECONDS_MAX,
            environment=environment,
            rights=(
                iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[props.sandbox_secret_arn]),
                iam.PolicyStatement(
                    actions=["codedeploy:GetDeployment", "codedeploy:PutLifecycleEventHookExecutionStatus"], resources=groups
                ),
            ),
            any_resource_reason="Lambda makes network interfaces, whose names nobody knows before.",
        )
        self.function = network_function(self, props.place, work, self.security_group)

    def _security_group(self, vpc: ec2.IVpc, *, plain: bool) -> ec2.SecurityGroup:
        """Here and not in the security stack, since no rule of it names another group."""
        group = closed_group(self, vpc, "SecurityGroup", "Release check: to the test listener and to AWS")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(TEST_LISTENER_PORT), "To the test listener")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "To AWS, and to the listener that customers use")
        if plain:
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(80), "To the listener that customers use")
        return group


def _front_door(names: Names) -> dict[str, tuple[str, ...]]:
    """Return which paths the load balancer leads to which service, by its deployments' application, in the order of its rules."""
    return {
        names.task_family(service): spec.path_patterns or PUBLIC_PATHS
        for service, spec in SERVICES.items()
        if not spec.is_called_by_services
    }
