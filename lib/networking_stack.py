"""The network: three availability zones, each with a public, a private and an isolated subnet."""

from dataclasses import dataclass
from typing import Any, cast

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from lib.acknowledgements import acknowledge
from lib.environments import ZONES, size_of
from lib.options import Options

NETWORK = "10.0.0.0/16"
_TO_THE_INTERNET = "PCI.DSS.321::PCI.DSS.321-VPCNoUnrestrictedRouteToIGW"
_TO_THE_INTERNET_REASON = "The load balancer and the NAT gateways face the internet; nothing else is in the public subnets."
_INTERFACE_ENDPOINTS = {
    "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "SecretsManager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkingStackProps:
    """What the network depends on."""

    environment_suffix: str


class NetworkingStack(cdk.NestedStack):
    """Exposes `vpc`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        props: NetworkingStackProps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        size = size_of(props.environment_suffix)
        # Those that are said (`tap deploy` looks for zones that have the database). Else: `max_azs=3` gives two zones while the region isn't known; naming the first three gives three, wherever it is deployed.
        zones = list(Options.of(self).zones) or [cdk.Fn.select(index, cdk.Fn.get_azs()) for index in range(ZONES)]
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(NETWORK),
            availability_zones=zones,
            nat_gateways=size.nat_gateways,
            restrict_default_security_group=True,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24, map_public_ip_on_launch=False),
                ec2.SubnetConfiguration(name="private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20),
                ec2.SubnetConfiguration(name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )
        acknowledge(
            self.vpc,
            {
                "AwsSolutions::AwsSolutions-VPC7": "The flow log is in the security stack, which has the key that encrypts it.",
                "PCI.DSS.321::PCI.DSS.321-VPCFlowLogsEnabled": "The flow log is in the security stack, which has the key that encrypts it.",
                "PCI.DSS.321::PCI.DSS.321-VPCDefaultSecurityGroupClosed": "A custom resource closes it; the rule can't see that.",
            },
        )
        if Options.of(self).dual_stack:
            self._add_ipv6()
        for subnet in self.vpc.public_subnets:
            acknowledge(
                subnet.node.find_child("DefaultRoute"),
                {_TO_THE_INTERNET: _TO_THE_INTERNET_REASON},
            )
        if size.interface_endpoints:
            self._add_interface_endpoints()

    def _add_ipv6(self) -> None:
        """In the public subnets alone, where the load balancer is: tasks that had such addresses would try them first, and no way leads out from there."""
        block = ec2.CfnVPCCidrBlock(self, "Ipv6", vpc_id=self.vpc.vpc_id, amazon_provided_ipv6_cidr_block=True)
        ranges = cdk.Fn.cidr(cdk.Fn.select(0, self.vpc.vpc_ipv6_cidr_blocks), len(self.vpc.public_subnets), "64")
        for number, subnet in enumerate(cast("list[ec2.PublicSubnet]", self.vpc.public_subnets)):
            made = cast("ec2.CfnSubnet", subnet.node.default_child)
            made.ipv6_cidr_block = cdk.Fn.select(number, ranges)
            made.add_resource_dependency(block)
            route = ec2.CfnRoute(
                subnet,
                "Ipv6Route",
                route_table_id=subnet.route_table.route_table_id,
                destination_ipv6_cidr_block="::/0",
                gateway_id=self.vpc.internet_gateway_id,
            )
            route.node.add_dependency(self.vpc.internet_connectivity_established)
            acknowledge(route, {_TO_THE_INTERNET: _TO_THE_INTERNET_REASON})

    def _add_interface_endpoints(self) -> None:
        """Keep the tasks' calls to AWS inside the network."""
        group = ec2.SecurityGroup(
            self, "EndpointSecurityGroup", vpc=self.vpc, description="HTTPS from the network to AWS", allow_all_outbound=False
        )
        group.add_ingress_rule(ec2.Peer.ipv4(NETWORK), ec2.Port.tcp(443), "HTTPS from the network")
        for name, service in _INTERFACE_ENDPOINTS.items():
            self.vpc.add_interface_endpoint(name, service=service, security_groups=[group], open=False)


def nat_addresses(vpc: ec2.IVpc) -> list[str]:
    """Return the elastic IP addresses of a network's NAT gateways: what it looks like from outside. None are known of an imported network."""
    found = (subnet.node.try_find_child("EIP") for subnet in vpc.public_subnets)
    return [cast("ec2.CfnEIP", address).ref for address in found if address is not None]
