"""The parts of a network that ministack's CloudFormation lacks: addresses, NAT gateways, rules of groups, flow logs, WAF's ties.

Nothing filters packets: a rule is a record that can be read back.
"""

import uuid
from typing import Any

from rehearsal.emulator import cloudformation, upstream
from rehearsal.emulator.cloudformation import Created, ResourceFailed
from rehearsal.emulator.upstream import Record


def install() -> None:
    """Add the types."""
    types: dict[str, tuple[cloudformation.Create, cloudformation.Delete]] = {
        "AWS::EC2::EIP": (_create_address, _delete_address),
        "AWS::EC2::NatGateway": (_create_nat_gateway, _delete_nat_gateway),
        "AWS::EC2::SecurityGroupIngress": (_rule_creator("IpPermissions"), _rule_deleter("IpPermissions")),
        "AWS::EC2::SecurityGroupEgress": (_rule_creator("IpPermissionsEgress"), _rule_deleter("IpPermissionsEgress")),
        "AWS::EC2::FlowLog": (_create_flow_log, _delete_flow_log),
        "AWS::WAFv2::WebACLAssociation": (_associate, _dissociate),
        # CDK's provider is JavaScript that needs AWS's SDK, which ministack's executor lacks: what it does is done here.
        "Custom::VpcRestrictDefaultSG": (_close_default_group, lambda _physical_id, _properties: None),
        "AWS::WAFv2::LoggingConfiguration": (_log_requests, lambda _physical_id, _properties: None),
    }
    for name, (create, delete) in types.items():
        cloudformation.register(name, create=create, update=_replacing(create, delete), delete=delete)


def _replacing(create: cloudformation.Create, delete: cloudformation.Delete) -> cloudformation.Update:
    def update(physical_id: str, old: Record, new: Record, stack_name: str, logical_id: str) -> Created:
        if cloudformation.same_but_for_tags(old, new):
            stack = upstream.module("services.cloudformation")._stacks[stack_name]
            return physical_id, stack["_resources"].get(logical_id, {}).get("Attributes", {})
        delete(physical_id, old)
        return create(logical_id, new, stack_name)

    return update


def _ec2() -> Any:
    return upstream.module("services.ec2")


def _made(store: Any, before: set[str]) -> str:
    """Return the key that a call added to a store; stacks are worked on one resource at a time."""
    return next(key for key in store if key not in before)


def _create_address(_logical_id: str, _properties: Record, _stack_name: str) -> Created:
    before = set(_ec2()._addresses)
    _ec2()._allocate_address({"Domain": ["vpc"]})
    allocation = _made(_ec2()._addresses, before)
    address = str(_ec2()._addresses[allocation]["PublicIp"])
    return address, {"AllocationId": allocation, "PublicIp": address}


def _delete_address(physical_id: str, _properties: Record) -> None:
    store = _ec2()._addresses
    for allocation in [key for key, address in store.items() if address["PublicIp"] == physical_id]:
        store.pop(allocation)


def _create_nat_gateway(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    before = set(_ec2()._nat_gateways)
    _ec2()._create_nat_gateway({"SubnetId": [properties["SubnetId"]], "AllocationId": [properties.get("AllocationId", "")]})
    gateway = _made(_ec2()._nat_gateways, before)
    return gateway, {"NatGatewayId": gateway}


def _delete_nat_gateway(physical_id: str, _properties: Record) -> None:
    _ec2()._nat_gateways.pop(physical_id, None)


def _rule_creator(direction: str) -> cloudformation.Create:
    def create(_logical_id: str, properties: Record, _stack_name: str) -> Created:
        group = _ec2()._security_groups.get(properties["GroupId"])
        if group is None:
            raise ResourceFailed(f"The security group '{properties['GroupId']}' does not exist")
        rule_id = f"sgr-{uuid.uuid4().hex[:17]}"
        group[direction].extend({**rule, "_rule": rule_id} for rule in cloudformation.provisioners()._ec2_sg_permissions([properties]))
        return rule_id, {"Id": rule_id}

    return create


def _rule_deleter(direction: str) -> cloudformation.Delete:
    def delete(physical_id: str, properties: Record) -> None:
        group = _ec2()._security_groups.get(properties["GroupId"])
        if group is not None:
            group[direction] = [rule for rule in group[direction] if rule.get("_rule") != physical_id]

    return delete


def _close_default_group(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    group = _ec2()._security_groups.get(properties["DefaultSecurityGroupId"])
    if group is None:
        raise ResourceFailed(f"The security group '{properties['DefaultSecurityGroupId']}' does not exist")
    group["IpPermissions"], group["IpPermissionsEgress"] = [], []
    return f"{properties['DefaultSecurityGroupId']}-closed", {}


def _create_flow_log(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    before = set(_ec2()._flow_logs)
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName", "DeliverLogsPermissionArn")
    _ec2()._create_flow_logs({"ResourceId.1": [properties["ResourceId"]], **{name: [str(properties.get(name, ""))] for name in names}})
    flow_log = _made(_ec2()._flow_logs, before)
    return flow_log, {"Id": flow_log}


def _delete_flow_log(physical_id: str, _properties: Record) -> None:
    _ec2()._flow_logs.pop(physical_id, None)


def _associate(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    upstream.module("services.waf")._associations[properties["ResourceArn"]] = properties["WebACLArn"]
    return f"{properties['WebACLArn']}|{properties['ResourceArn']}", {}


def _dissociate(_physical_id: str, properties: Record) -> None:
    upstream.module("services.waf")._associations.pop(properties["ResourceArn"], None)


def _log_requests(_logical_id: str, properties: Record, _stack_name: str) -> Created:
    return str(properties["ResourceArn"]), {"ManagedByFirewallManager": "false"}
