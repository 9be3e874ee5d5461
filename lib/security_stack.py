"""Keys, secrets, security groups, the firewall, and the flow log.

Every rule between our own security groups is here: a rule elsewhere would make two nested stacks depend on each other.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import size_of
from lib.log_group import log_group
from lib.networking_stack import nat_addresses
from lib.options import Options
from payments.runtime.topology import (
    CONTAINER_PORT,
    DATABASE_PORT,
    DATABASE_USER,
    MAIL_PORTS,
    NO_ACQUIRERS,
    SERVICES,
    TRIAL_PORT,
    WEBHOOK_PORTS,
    AcquirersField,
    ApiSecretField,
    DatabaseSecretField,
    Names,
)

_NOT_ROTATED = "AwsSolutions::AwsSolutions-SMG4"
INLINE_POLICY = "PCI.DSS.321::PCI.DSS.321-IAMNoInlinePolicy"
INLINE_REASON = "It belongs to this one role, and ends with it; a managed policy could be attached elsewhere."
_TOO_MANY_REQUESTS = {
    "type": "invalid_request_error",
    "code": "rate_limit",
    "message": "Too many requests came from your address. Please retry in a minute.",
}
_DATA_RULES = ("SizeRestrictions_BODY", "GenericRFI_BODY", "GenericLFI_BODY", "CrossSiteScripting_BODY")
"""Counted instead of blocked, since the API takes for data what they look for: bodies above 8 KiB (metadata), webhook endpoints by address, any text in a
description. The API limits bodies itself, and answers in its own format."""
_NO_TRAFFIC = ec2.CfnSecurityGroup.EgressProperty(
    cidr_ip="255.255.255.255/32", description="Nothing but what other rules allow", ip_protocol="icmp", from_port=252, to_port=86
)
"""EC2 lets a group without any rule of its own send everything everywhere."""


TEST_LISTENER_PORT = 8443
"""Of the load balancer: where a release is tried out before it gets traffic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityStackProps:
    """What security depends on."""

    environment_suffix: str
    vpc: ec2.IVpc


class SecurityStack(cdk.NestedStack):
    """Exposes `kms_key`, `db_secret`, `api_secret`, `alb_security_group`, `ecs_security_group`, `database_security_group`.

    For the stacks that come after it also `database_secrets`, the login of each service, `api_secrets`, of which `api_secret` is the one that the
    services sign their calls to each other with, `acquirers_secrets`, which `tap acquirers set` fills, `internal_security_group`, of the load balancer
    between the services, `test_addresses`, from which the test listener is reached, and `web_acl_arn`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: SecurityStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._props, self._size = props, size_of(props.environment_suffix)
        self.kms_key = self._key()
        self._shared_key = cast("kms.IKey", self.kms_key)
        # What the final snapshot holds can't be read without what it was sealed with.
        self._kept = cdk.RemovalPolicy.RETAIN if self._size.protected else cdk.RemovalPolicy.DESTROY
        self.db_secret = self._login("DatabaseSecret", DATABASE_USER, "Owner of Tap's database")
        self.database_secrets = {
            service: self._login(
                f"{service.name.title().replace('_', '')}DatabaseSecret", spec.database_login, f"Tap's database: {service}"
            )
            for service, spec in SERVICES.items()
        }
        self.api_secrets = {
            field: secretsmanager.Secret(
                self,
                f"ApiSecret{field.name.title().replace('_', '')}",
                description=f"Tap: {field.value}",
                encryption_key=self._shared_key,
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    secret_string_template=json.dumps({"key_id": "1"}),
                    generate_string_key=field.value,
                    password_length=64,
                    # 64 hexadecimal digits: 32 bytes
                    exclude_characters="".join(chr(code) for code in range(33, 127) if chr(code) not in "0123456789abcdef"),
                    require_each_included_type=False,
                ),
                removal_policy=self._kept,
            )
            for field in ApiSecretField
        }
        self.acquirers_secrets = {
            field: secretsmanager.Secret(
                self,
                f"Acquirers{field.name.title()}",
                description=f"Tap: the acquirers' {field.value}",
                encryption_key=self._shared_key,
                secret_object_value={field: cdk.SecretValue.unsafe_plain_text(NO_ACQUIRERS[field])},  # there is nothing to hide in it yet
                removal_policy=self._kept,
            )
            for field in AcquirersField
        }
        acknowledge(self.db_secret, {_NOT_ROTATED: "It is rotated every 30 days by the schedule in the database stack."})
        for secret in self.database_secrets.values():
            acknowledge(
                secret, {_NOT_ROTATED: "`tap logins rotate` does it: AWS's function knows the owner of a database, or clones of a user."}
            )
        for secret in self.acquirers_secrets.values():
            acknowledge(secret, {_NOT_ROTATED: "An acquirer gives a new secret out, and `tap acquirers set` brings it here."})
        for secret in self.api_secrets.values():
            acknowledge(
                secret,
                {
                    _NOT_ROTATED: "What it keys is stored under it: replacing it is a procedure of its own, in docs/disaster-recovery.md, and no schedule's work."
                },
            )
        self.api_secret = self.api_secrets[ApiSecretField.INTERNAL_API_KEY]
        self.internal_security_group = closed_group(self, props.vpc, "InternalSecurityGroup", "Load balancer between the services")
        self.alb_security_group, self.ecs_security_group, self.database_security_group = self._groups()
        self._flow_log()
        self.web_acl_arn = self._firewall()

    def _login(self, name: str, user: str, description: str) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            self,
            name,
            description=description,
            encryption_key=self._shared_key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template=json.dumps({DatabaseSecretField.USERNAME: user}),
                generate_string_key=DatabaseSecretField.PASSWORD,
                password_length=40,
                exclude_punctuation=True,
            ),
            removal_policy=self._kept,
        )

    def _key(self) -> kms.Key:
        key = kms.Key(
            self,
            "Key",
            description=f"Tap {self._props.environment_suffix}: logs, database, secrets, repositories, topic",
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        account_logs = f"arn:{self.partition}:logs:{self.region}:{self.account}:log-group:*"
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchLogs",
                principals=[cast("iam.IPrincipal", iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com"))],
                actions=["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"],
                resources=["*"],
                conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": account_logs}},
            )
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsToTopic",
                principals=[cast("iam.IPrincipal", iam.ServicePrincipal("cloudwatch.amazonaws.com"))],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        return key

    def _groups(self) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup, ec2.SecurityGroup]:
        alb = closed_group(self, self._props.vpc, "AlbSecurityGroup", "Load balancer: HTTPS and HTTP from the internet")
        tasks = closed_group(self, self._props.vpc, "EcsSecurityGroup", "Tasks: from the load balancer and from each other")
        database = closed_group(self, self._props.vpc, "DatabaseSecurityGroup", "Database: from the tasks")
        for peer in (ec2.Peer.any_ipv4(), ec2.Peer.any_ipv6()) if Options.of(self).dual_stack else (ec2.Peer.any_ipv4(),):
            for port in (443, 80):
                alb.add_ingress_rule(peer, ec2.Port.tcp(port), "From the internet")
        self.test_addresses = [*nat_addresses(self._props.vpc), *Options.of(self).test_addresses]
        for number, address in enumerate(self.test_addresses):
            # A load balancer that faces the internet has public addresses inside of the network too: our own calls reach it from these.
            rule = ec2.CfnSecurityGroupIngress(
                self,
                f"TestListenerFromNat{number}",
                group_id=alb.security_group_id,
                ip_protocol="tcp",
                from_port=TEST_LISTENER_PORT,
                to_port=TEST_LISTENER_PORT,
                cidr_ip=f"{address}/32",
                description="Test listener, from our own NAT gateways and whom the operator names",
            )
            reason = "The source is one address; that of a NAT gateway is known when it is made, and the rule can't look into a reference."
            unseeing = (
                "AwsSolutions::AwsSolutions-EC23",
                "PCI.DSS.321::PCI.DSS.321-EC2RestrictedCommonPorts",
                "PCI.DSS.321::PCI.DSS.321-EC2RestrictedSSH",
            )
            acknowledge(rule, dict.fromkeys(unseeing, reason))
        for rule in alb.node.children:
            if rule.node.id.startswith(("from 0.0.0.0_0", "from ::_0")):
                acknowledge(rule, {"AwsSolutions::AwsSolutions-EC23": "The front door of a public API, behind the firewall."})
        alb.add_egress_rule(tasks, ec2.Port.tcp(CONTAINER_PORT), "To the tasks")
        tasks.add_ingress_rule(alb, ec2.Port.tcp(CONTAINER_PORT), "From the load balancer")
        for port in (CONTAINER_PORT, TRIAL_PORT):
            tasks.add_egress_rule(self.internal_security_group, ec2.Port.tcp(port), "To each other")
            self.internal_security_group.add_ingress_rule(tasks, ec2.Port.tcp(port), "From the tasks")
        self.internal_security_group.add_egress_rule(tasks, ec2.Port.tcp(CONTAINER_PORT), "To the tasks")
        tasks.add_ingress_rule(self.internal_security_group, ec2.Port.tcp(CONTAINER_PORT), "From each other")
        tasks.add_egress_rule(database, ec2.Port.tcp(DATABASE_PORT), "To the database")
        options = Options.of(self)
        mail = () if options.smtp_secret_arn is None else MAIL_PORTS
        for port in sorted({443, *WEBHOOK_PORTS, *options.acquirer_ports, *mail}):
            tasks.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), "To AWS, acquirers, webhook endpoints and the mail server")
        database.add_ingress_rule(tasks, ec2.Port.tcp(DATABASE_PORT), "From the tasks")
        database.add_ingress_rule(database, ec2.Port.tcp(DATABASE_PORT), "From the rotation of its secret")
        database.add_egress_rule(database, ec2.Port.tcp(DATABASE_PORT), "From the rotation of its secret")
        database.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Rotation to Secrets Manager")
        return alb, tasks, database

    def _flow_log(self) -> None:
        """Here and not in the network's stack, which would then need the key of this one."""
        group = log_group(self, "FlowLogs", key=self._shared_key, size=self._size)
        flow_log = ec2.FlowLog(
            self,
            "FlowLog",
            resource_type=ec2.FlowLogResourceType.from_vpc(self._props.vpc),
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.ALL,
        )
        acknowledge(flow_log.node.find_child("IAMRole").node.find_child("DefaultPolicy"), {INLINE_POLICY: INLINE_REASON})

    def _firewall(self) -> str:
        def managed(priority: int, name: str, *counted: str) -> wafv2.CfnWebACL.RuleProperty:
            count = wafv2.CfnWebACL.RuleActionProperty(count={})
            return wafv2.CfnWebACL.RuleProperty(
                name=name,
                priority=priority,
                override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
                statement=wafv2.CfnWebACL.StatementProperty(
                    managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                        vendor_name="AWS",
                        name=name,
                        rule_action_overrides=[
                            wafv2.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count) for rule in counted
                        ],
                    )
                ),
                visibility_config=_visible(name),
            )

        rate = wafv2.CfnWebACL.RuleProperty(
            name="RateLimit",
            priority=0,
            action=wafv2.CfnWebACL.RuleActionProperty(
                block={
                    "customResponse": {
                        "responseCode": 429,
                        "customResponseBodyKey": "TooManyRequests",
                        "responseHeaders": [{"name": "Retry-After", "value": "60"}, {"name": "Stripe-Should-Retry", "value": "true"}],
                    }
                }
            ),
            statement=wafv2.CfnWebACL.StatementProperty(
                rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
                    aggregate_key_type="IP", limit=self._size.requests_per_five_minutes
                )
            ),
            visibility_config=_visible("RateLimit"),
        )
        acl = wafv2.CfnWebACL(
            self,
            "WebAcl",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            custom_response_bodies={
                "TooManyRequests": wafv2.CfnWebACL.CustomResponseBodyProperty(
                    content_type="APPLICATION_JSON", content=json.dumps({"error": _TOO_MANY_REQUESTS})
                )
            },
            visibility_config=_visible(Names(self._props.environment_suffix).web_acl),
            rules=[rate, managed(1, "AWSManagedRulesCommonRuleSet", *_DATA_RULES), managed(2, "AWSManagedRulesKnownBadInputsRuleSet")],
        )
        # The firewall writes to groups of this prefix only.
        name = f"aws-waf-logs-tap-{self._props.environment_suffix}"
        group = log_group(self, "WebAclLogs", name=name, key=self._shared_key, size=self._size)
        wafv2.CfnLoggingConfiguration(
            self,
            "WebAclLogging",
            resource_arn=acl.attr_arn,
            log_destination_configs=[
                self.format_arn(
                    service="logs", resource="log-group", resource_name=group.log_group_name, arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME
                )
            ],
            # What was let through is in the load balancer's own log; here it would cost as much as the firewall itself.
            logging_filter=_kept("BLOCK", "COUNT", "EXCLUDED_AS_COUNT"),
            redacted_fields=[
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": "authorization"}),
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(query_string={}),
            ],
        )
        return acl.attr_arn


def closed_group(scope: Construct, vpc: ec2.IVpc, name: str, description: str) -> ec2.SecurityGroup:
    """Make a group that lets nothing in or out but what rules of its own allow."""
    group = ec2.SecurityGroup(scope, name, vpc=vpc, description=description, allow_all_outbound=False, disable_inline_rules=True)
    cast("ec2.CfnSecurityGroup", group.node.default_child).security_group_egress = [_NO_TRAFFIC]
    return group


def _kept(*actions: str) -> dict[str, Any]:
    """Have only requests logged that a rule did this with."""
    conditions = [{"ActionCondition": {"Action": each}} for each in actions]
    return {"DefaultBehavior": "DROP", "Filters": [{"Behavior": "KEEP", "Requirement": "MEETS_ANY", "Conditions": conditions}]}


def _visible(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False)
