"""Which three availability zones an environment is in: those that have Aurora Serverless, chosen once and kept.

A region may have zones without it, and which zone an account calls `a` differs from account to account.
Source: Aurora, "Requirements and limitations for Aurora Serverless v2"; Amazon RDS, `DescribeOrderableDBInstanceOptions`.
"""

from collections.abc import Mapping
from typing import Any

from payments.cli.assembly import Template
from payments.cli.aws.clients import Aws
from payments.cli.data_directory import UsageError
from payments.runtime.topology import DATABASE_ENGINE_VERSION

_ZONES = 3
_ENGINE, _CLASS = "aurora-postgresql", "db.serverless"
_SUBNET = "AWS::EC2::Subnet"
CHOSEN_BY_CLOUDFORMATION = ""
"""Of an environment whose template names none: the region's first three, as CloudFormation lists them."""


def choose_zones(aws: Aws, said: str | None) -> str:
    """Return the zones of a new environment, with commas between them: those that are said, else the first three that have the database.

    Raises `UsageError` where it can't be had in three, or in those that are said.
    """
    pages = aws.rds.get_paginator("describe_orderable_db_instance_options").paginate(
        Engine=_ENGINE, EngineVersion=DATABASE_ENGINE_VERSION, DBInstanceClass=_CLASS, Vpc=True
    )
    options = [option for page in pages for option in page["OrderableDBInstanceOptions"]]
    having = sorted({zone.get("Name", "") for option in options for zone in option.get("AvailabilityZones", [])})
    if said is not None:
        if lacking := [zone for zone in said.split(",") if zone not in having]:
            raise UsageError(f"{', '.join(lacking)} can't have the database ({_CLASS}). In {aws.region} these can: {', '.join(having)}.")
        return said
    if len(having) < _ZONES:
        raise UsageError(
            f"{aws.region} has {_CLASS} of PostgreSQL {DATABASE_ENGINE_VERSION} in {len(having)} zones ({', '.join(having) or 'none'}), and Tap needs "
            "three. Choose another region."
        )
    return ",".join(having[:_ZONES])


def kept_zones(deployed: Mapping[str, Template], said: str | None) -> str:
    """Return the zones of a deployed environment as its templates have them; raises `UsageError` when others are said."""
    resources = {name: each for template in deployed.values() for name, each in template["Resources"].items()}
    found = [each["Properties"].get("AvailabilityZone") for _, each in sorted(resources.items()) if each["Type"] == _SUBNET]
    kept = ",".join(dict.fromkeys(zone for zone in found if _is_named(zone)))
    if said is not None and said != kept:
        now = kept or "the three that CloudFormation chose"
        raise UsageError(f"The environment is in {now}, and can't move to {said}: its subnets would be replaced, with all that is in them.")
    return kept


def _is_named(zone: Any) -> bool:
    return isinstance(zone, str)
