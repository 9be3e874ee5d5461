"""What must be so before a deployment: each thing that isn't is one line, and nothing has been changed yet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from payments.cli.assembly import Assembly, FargateTasks, Template, fargate_tasks
from payments.cli.aws.clients import Aws, error_code, error_message
from payments.cli.data_directory import UsageError

_ZONES_MIN = 3
_BOOTSTRAP_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
_BOOTSTRAP_VERSION_MIN = 6
_SERVICES_WITH_A_ROLE = ("ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com", "rds.amazonaws.com")
"""Each makes its service-linked role with an account's first resource of its kind, and often can't assume what it has just made: then that resource fails,
and the stack with it."""
_OUTLIVE = {"AWS::Logs::LogGroup": "LogGroupName", "AWS::ECR::Repository": "RepositoryName", "AWS::RDS::DBCluster": "DBClusterIdentifier"}
"""What is kept when an environment is destroyed, or made once more by AWS, whose last lines come late; and which property names it."""
_THERE_ALREADY = ("has been taken", "already exists")


@dataclass(frozen=True, slots=True)
class Need:
    """How much of a quota the environment takes. Source: Service Quotas, codes by service."""

    what: str
    service_code: str
    quota_code: str
    least: float
    """To come up at all, and to be released: a release runs every task twice for a while."""
    most: float
    """When auto scaling has gone as far as it may."""
    count_taken: Callable[[], int] = lambda: 0
    """How much of it is taken already, by whomever."""


def check_account(aws: Aws) -> str:
    """Return the account; raises `UsageError` without credentials, with too few zones, or before CDK's bootstrap."""
    account = aws.sts.get_caller_identity()["Account"]
    zones = aws.ec2.describe_availability_zones(
        Filters=[{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": ["availability-zone"]}]
    )["AvailabilityZones"]
    if len(zones) < _ZONES_MIN:
        raise UsageError(f"{aws.region} has {len(zones)} availability zones for this account, and Tap needs three. Choose another region.")
    try:
        version = int(aws.ssm.get_parameter(Name=_BOOTSTRAP_PARAMETER)["Parameter"].get("Value", "0"))
    except ClientError as failure:
        if error_code(failure) != "ParameterNotFound":
            raise
        version = 0
    if version < _BOOTSTRAP_VERSION_MIN:
        raise UsageError(f"CDK has no bootstrap stack in account {account}, {aws.region}: deploy once with --bootstrap, which makes one.")
    return account


def check_names(aws: Aws, assembly: Assembly) -> None:
    """Raise `UsageError` where what an environment of the same name left is in the way of a new one: CloudFormation makes nothing under a name that is taken."""
    wanted = _names(assembly.templates())
    log_groups = wanted["AWS::Logs::LogGroup"]
    pages = aws.ecr.get_paginator("describe_repositories").paginate()
    repositories = {each.get("repositoryName") for page in pages for each in page["repositories"]}
    clusters = {
        each.get("DBClusterIdentifier") for page in aws.rds.get_paginator("describe_db_clusters").paginate() for each in page["DBClusters"]
    }
    there = {
        "log groups": [each for each in log_groups if _has_log_group(aws, each)],
        "repositories": [each for each in wanted["AWS::ECR::Repository"] if each in repositories],
        "databases": [each for each in wanted["AWS::RDS::DBCluster"] if each in clusters],
    }
    if left := "; ".join(f"{kind} {', '.join(names)}" for kind, names in there.items() if names):
        raise UsageError(
            f'An earlier environment of this name left {left}. Delete them, if nobody needs them any more: docs/deploy.md, "Destroying".'
        )


def _has_log_group(aws: Aws, name: str) -> bool:
    """The first that a prefix finds is the one that is called so."""
    found = aws.logs.describe_log_groups(logGroupNamePrefix=name, limit=1)["logGroups"]
    return any(each.get("logGroupName") == name for each in found)


def _names(templates: list[Template]) -> dict[str, list[str]]:
    """Return the names that templates give to what may outlive its stack, by resource type."""
    resources = [each for template in templates for each in template["Resources"].values()]
    return {
        kind: sorted(name for each in resources if each["Type"] == kind and isinstance(name := each["Properties"].get(named), str))
        for kind, named in _OUTLIVE.items()
    }


def check_quotas(aws: Aws, assembly: Assembly, console: Console, *, first: bool) -> None:
    """Raise `UsageError` when a quota is too small to come up; warn when it is too small to scale as far as is allowed, or can't be read."""
    for need in _needs(aws, assembly.templates(), first=first):
        try:
            quota = aws.quotas.get_service_quota(ServiceCode=need.service_code, QuotaCode=need.quota_code)["Quota"].get("Value", 0.0)
            taken = need.count_taken()
        except (ClientError, BotoCoreError):
            console.print(f"[yellow]The quota of {need.what} can't be read;[/yellow] {need.least:g} are needed.")
            continue
        if quota - taken < need.least:
            used = f" of which {taken} are taken," if taken else ""
            raise UsageError(
                f"The quota of {need.what} is {quota:g},{used} and {need.least:g} are needed: ask for more in Service Quotas "
                f"({need.service_code} {need.quota_code}, {aws.region})."
            )
        if quota - taken < need.most:
            console.print(f"[yellow]The quota of {need.what} is {quota:g};[/yellow] scaled out as far as it may, Tap takes {need.most:g}.")


def make_service_roles(aws: Aws, console: Console) -> None:
    """Make the service-linked roles that an empty account lacks, while there is time until they are needed; warn of those that can't be made."""
    for service in _SERVICES_WITH_A_ROLE:
        try:
            aws.iam.create_service_linked_role(AWSServiceName=service)
        except ClientError as failure:
            why = error_message(failure)
            if not any(words in why for words in _THERE_ALREADY):
                console.print(
                    f"[yellow]The service-linked role of {service} can't be made;[/yellow] an empty account needs it: {escape(why)}"
                )


def _needs(aws: Aws, templates: list[Template], *, first: bool) -> Iterator[Need]:
    sizes = list(fargate_tasks(templates))

    def vcpu(counts: Callable[[FargateTasks], int], *, spot: bool) -> float:
        shares = ((each, ceil(each.on_spot(counts(each)))) for each in sizes)
        return sum(each.vcpu * (on_spot if spot else counts(each) - on_spot) for each, on_spot in shares)

    for what, code, spot in (("Fargate vCPU", "L-3032A538", False), ("Fargate Spot vCPU", "L-36FBB829", True)):
        yield Need(what, "fargate", code, vcpu(_released_smallest, spot=spot), vcpu(_released_largest, spot=spot))
    if first:
        addresses = sum(each["Type"] == "AWS::EC2::EIP" for template in templates for each in template["Resources"].values())
        yield Need(
            "Elastic IP addresses", "ec2", "L-0263D0A3", addresses, addresses, lambda: len(aws.ec2.describe_addresses()["Addresses"])
        )
        pages = aws.ec2.get_paginator("describe_vpcs")
        yield Need("VPCs", "vpc", "L-F678F1CE", 1, 1, lambda: sum(len(page["Vpcs"]) for page in pages.paginate()))


def _released_smallest(sizes: FargateTasks) -> int:
    return 2 * sizes.tasks_min


def _released_largest(sizes: FargateTasks) -> int:
    return 2 * sizes.tasks_max
