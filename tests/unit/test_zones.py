"""An environment is made in zones that have its database, and stays in those that it was made in."""

from collections.abc import Generator
from typing import Any

import pytest

from payments.cli.aws.zones import choose_zones, kept_zones
from payments.cli.data_directory import UsageError
from tests.support.stubbed_aws import StubbedAws, stubbed_aws


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


def has_serverless_in(stubbed: StubbedAws, *options: str) -> None:
    """Each option is of zones by their letters."""
    told = [{"AvailabilityZones": [{"Name": f"eu-west-1{letter}"} for letter in letters]} for letters in options]
    asked = {"Engine": "aurora-postgresql", "EngineVersion": "17.7", "DBInstanceClass": "db.serverless", "Vpc": True}
    stubbed.answer("rds", "describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": told}, asked)


def network(*zones: Any) -> dict[str, Any]:
    """The template of a network, each tier over the zones."""
    subnets = {
        f"Vpc{tier}Subnet{number}": {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": zone}}
        for tier in ("isolated", "private", "public")
        for number, zone in enumerate(zones, start=1)
    }
    return {"Networking": {"Resources": subnets}, "Ecs": {"Resources": {"Cluster": {"Type": "AWS::ECS::Cluster"}}}}


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        (("abc",), "eu-west-1a,eu-west-1b,eu-west-1c"),
        (("dcab",), "eu-west-1a,eu-west-1b,eu-west-1c"),  # whatever the order of the answer
        (("bcd",), "eu-west-1b,eu-west-1c,eu-west-1d"),  # the region's first zone lacks it
        (("ab", "bd"), "eu-west-1a,eu-west-1b,eu-west-1d"),
    ],
)
def test_the_first_three_zones_that_have_the_database_are_chosen(stubbed: StubbedAws, options: tuple[str, ...], chosen: str) -> None:
    has_serverless_in(stubbed, *options)
    assert choose_zones(stubbed.aws, None) == chosen


@pytest.mark.parametrize(("options", "found"), [(("ab",), r"2 zones \(eu-west-1a, eu-west-1b\)"), ((), r"0 zones \(none\)")])
def test_a_region_without_three_such_zones_is_refused(stubbed: StubbedAws, options: tuple[str, ...], found: str) -> None:
    has_serverless_in(stubbed, *options)
    with pytest.raises(UsageError, match=found):
        choose_zones(stubbed.aws, None)


def test_zones_that_are_said_are_taken_if_they_have_the_database(stubbed: StubbedAws) -> None:
    for _ in range(2):
        has_serverless_in(stubbed, "bcde")
    said = "eu-west-1e,eu-west-1c,eu-west-1b"
    assert choose_zones(stubbed.aws, said) == said
    with pytest.raises(UsageError, match=r"^eu-west-1a can't have the database.*: eu-west-1b, eu-west-1c, eu-west-1d, eu-west-1e"):
        choose_zones(stubbed.aws, "eu-west-1a,eu-west-1b,eu-west-1c")


BY_CLOUDFORMATION = [{"Fn::Select": [number, {"Fn::GetAZs": ""}]} for number in range(3)]


@pytest.mark.parametrize(("zones", "kept"), [(["x1b", "x1a", "x1c"], "x1b,x1a,x1c"), (BY_CLOUDFORMATION, "")])
def test_an_environment_stays_in_its_zones(zones: list[Any], kept: str) -> None:
    assert kept_zones(network(*zones), None) == kept
    assert kept_zones(network(*zones), kept) == kept
    with pytest.raises(UsageError, match="can't move to x1d,x1e,x1f"):
        kept_zones(network(*zones), "x1d,x1e,x1f")
