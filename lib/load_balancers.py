"""The two load balancers: the one that faces the internet, and the one between the services. Each has a listener for traffic, and one for tests."""

import json
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.security_stack import TEST_LISTENER_PORT
from payments.runtime.topology import CONTAINER_PORT, PAGE_PATHS, TRIAL_PORT


def _refusal(status_code: int, message: str) -> elbv2.ListenerAction:
    """Answer in the API's own shape."""
    error = {"error": {"type": "invalid_request_error", "message": message}}
    return elbv2.ListenerAction.fixed_response(status_code, content_type="application/json", message_body=json.dumps(error))


_NOTHING_HERE = _refusal(404, "Unrecognized request URL.")


class AccessLogs(Construct):
    """The bucket of access logs. The region isn't known, which `log_access_logs` wants; the delivery service's principal is the same in all."""

    def __init__(self, scope: Construct, construct_id: str, *, days: int) -> None:
        super().__init__(scope, construct_id)
        self._bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(days), noncurrent_version_expiration=cdk.Duration.days(7))],
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        acknowledge(
            self._bucket,
            {
                "AwsSolutions::AwsSolutions-S1": "It is the bucket of access logs itself.",
                "PCI.DSS.321::PCI.DSS.321-S3BucketLoggingEnabled": "It is the bucket of access logs itself.",
                "PCI.DSS.321::PCI.DSS.321-S3BucketReplicationEnabled": "Access logs are versioned and kept; losing a region's would lose no payment.",
                "PCI.DSS.321::PCI.DSS.321-S3DefaultEncryptionKMS": "The load balancer can't write to a bucket under a customer's key; SSE-S3 it is.",
            },
        )

    def keep(self, alb: elbv2.ApplicationLoadBalancer, prefix: str) -> None:
        """Have a load balancer write its access log, under a prefix of its own."""
        self._bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[cast("iam.IPrincipal", iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com"))],
                actions=["s3:PutObject"],
                resources=[self._bucket.arn_for_objects(f"{prefix}/AWSLogs/{cdk.Stack.of(self).account}/*")],
            )
        )
        alb.set_attribute("access_logs.s3.enabled", "true")
        alb.set_attribute("access_logs.s3.bucket", self._bucket.bucket_name)
        alb.set_attribute("access_logs.s3.prefix", prefix)
        if self._bucket.policy is not None:
            alb.node.add_dependency(self._bucket.policy)


class FrontDoor(Construct):
    """What faces the internet. Exposes `alb`, `listener`, `test_listener`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        protected: bool,
        certificate_arn: str | None,
        dual_stack: bool,
    ) -> None:
        """Without a certificate it speaks plain HTTP; `dual_stack`: by IPv6, too."""
        super().__init__(scope, construct_id)
        self.alb = _load_balancer(self, name, vpc, security_group, ec2.SubnetType.PUBLIC, protected=protected, dual_stack=dual_stack)
        if certificate_arn is None:
            reason = "Plain HTTP was asked for with allow_http; with a certificate this listener is HTTPS."
            self.listener = _plain_listener(self.alb, "Listener", 80, reason)
            self.test_listener = _plain_listener(self.alb, "TestListener", TEST_LISTENER_PORT, reason)
            return
        self.listener = _tls_listener(self.alb, "Listener", 443, certificate_arn)
        self.test_listener = _tls_listener(self.alb, "TestListener", TEST_LISTENER_PORT, certificate_arn)
        # Where the environment had no certificate before, this one has port 80 until it moves.
        self._plain_port().node.add_dependency(self.listener)

    def _plain_port(self) -> elbv2.ApplicationListener:
        """Port 80, beside HTTPS: it leads browsers to the pages, and refuses everything else. Who was led on would send a key in the open every time."""
        refused = _refusal(403, "This API is reached by HTTPS alone. A key that was sent without it should be replaced.")
        reason = "It leads browsers to HTTPS, and refuses everything else."
        plain = _plain_listener(self.alb, "Plain", 80, reason, default_action=refused)
        pages = [elbv2.ListenerCondition.path_patterns(list(PAGE_PATHS)), elbv2.ListenerCondition.http_request_methods(["GET", "HEAD"])]
        plain.add_action("Keys", priority=10, conditions=[elbv2.ListenerCondition.http_header("Authorization", ["*"])], action=refused)
        plain.add_action(
            "Pages",
            priority=20,
            conditions=pages,
            action=elbv2.ListenerAction.redirect(protocol="HTTPS", port="443", permanent=True),
        )
        return plain


class InternalLoadBalancer(Construct):
    """What stands between the services, so that a release shifts their calls too. Exposes `alb`, `listener`, `test_listener`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        vpc: ec2.IVpc,
        security_group: ec2.ISecurityGroup,
        protected: bool,
        certificate_arn: str | None,
    ) -> None:
        """With the certificate of the customers' name, which callers ask for; without one it speaks plain HTTP."""
        super().__init__(scope, construct_id)
        self.alb = _load_balancer(self, name, vpc, security_group, ec2.SubnetType.PRIVATE_WITH_EGRESS, protected=protected)
        acknowledge(
            self.alb,
            {"PCI.DSS.321::PCI.DSS.321-ALBWAFEnabled": "Only our own tasks reach it; what strangers send has passed the firewall."},
        )
        if certificate_arn is not None:
            self.listener = _tls_listener(self.alb, "Listener", CONTAINER_PORT, certificate_arn)
            self.test_listener = _tls_listener(self.alb, "TestListener", TRIAL_PORT, certificate_arn)
            return
        reason = "Plain HTTP was asked for with allow_http, and it is reached from our own tasks alone, in private subnets."
        self.listener = _plain_listener(self.alb, "Listener", CONTAINER_PORT, reason)
        self.test_listener = _plain_listener(self.alb, "TestListener", TRIAL_PORT, reason)


def _load_balancer(
    scope: Construct,
    name: str,
    vpc: ec2.IVpc,
    security_group: ec2.ISecurityGroup,
    subnets: ec2.SubnetType,
    *,
    protected: bool,
    dual_stack: bool = False,
) -> elbv2.ApplicationLoadBalancer:
    return elbv2.ApplicationLoadBalancer(
        scope,
        "Alb",
        load_balancer_name=name,
        vpc=vpc,
        internet_facing=subnets is ec2.SubnetType.PUBLIC,
        security_group=security_group,
        vpc_subnets=ec2.SubnetSelection(subnet_type=subnets),
        drop_invalid_header_fields=True,
        deletion_protection=protected,
        ip_address_type=elbv2.IpAddressType.DUAL_STACK if dual_stack else None,
        idle_timeout=cdk.Duration.seconds(60),
    )


def _tls_listener(alb: elbv2.ApplicationLoadBalancer, construct_id: str, port: int, certificate_arn: str) -> elbv2.ApplicationListener:
    return alb.add_listener(
        construct_id,
        port=port,
        protocol=elbv2.ApplicationProtocol.HTTPS,
        certificates=[elbv2.ListenerCertificate.from_arn(certificate_arn)],
        ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS,
        default_action=_NOTHING_HERE,
        open=False,
    )


def _plain_listener(
    alb: elbv2.ApplicationLoadBalancer,
    construct_id: str,
    port: int,
    reason: str,
    *,
    default_action: elbv2.ListenerAction = _NOTHING_HERE,
) -> elbv2.ApplicationListener:
    """`reason`: why it may be without TLS."""
    listener = alb.add_listener(construct_id, port=port, protocol=elbv2.ApplicationProtocol.HTTP, default_action=default_action, open=False)
    rules = ("PCI.DSS.321-ALBHttpToHttpsRedirection", "PCI.DSS.321-ELBv2ACMCertificateRequired")
    acknowledge(listener, {f"PCI.DSS.321::{rule}": reason for rule in rules})
    return listener
