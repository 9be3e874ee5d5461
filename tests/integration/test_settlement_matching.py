"""How lines compare with what is booked: for files made at random, by a model, and whatever the order of their lines."""

import dataclasses
import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from payments.domain.settlement import LineKind
from payments.storage import settlement
from payments.storage.database import Connection

SQL = settlement._SQL
Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Line:
    kind: str
    acquirer_reference: str
    reference: str
    amount: int
    """Signed."""
    currency: str


def a_day(chance: random.Random) -> tuple[dict[Key, tuple[int, str]], list[Line]]:
    """What is booked, and a file about most of it: in which amounts and currencies differ, lines come twice, orders are paid twice, and some are nobody's."""
    booked: dict[Key, tuple[int, str]] = {}
    lines: list[Line] = []
    for number in range(chance.randrange(1, 120)):
        kind = chance.choice([LineKind.CAPTURE, LineKind.REFUND])
        amount, currency = (1 if kind is LineKind.CAPTURE else -1) * chance.randrange(1, 50), chance.choice(["usd", "eur"])
        reference = f"att_{number}"
        booked[(kind, reference)] = (amount, currency)
        line = Line(kind, f"B{number}", reference, amount, currency)
        match chance.randrange(12):
            case 0:
                continue
            case 1:
                lines.append(dataclasses.replace(line, amount=2 * amount))
            case 2:
                lines.append(dataclasses.replace(line, currency="chf"))
            case 3:
                lines += [line, line]
            case 4:
                lines += [line, dataclasses.replace(line, acquirer_reference=f"X{number}", amount=chance.choice([amount, 3 * amount]))]
            case 5:
                lines.append(dataclasses.replace(line, reference=f"att_x{number // 2}"))
            case _:
                lines.append(line)
    return booked, lines


def by_model(booked: dict[Key, tuple[int, str]], lines: list[Line]) -> Counter[str]:
    """Of the lines about one order, the one that fits best is about it, and the others pay it again; a line that comes twice is one."""

    def fit(line: Line) -> tuple[Any, ...]:
        here = booked.get((line.kind, line.reference))
        currency = None if here is None else here[1] != line.currency
        return (here != (line.amount, line.currency), currency if currency is not None else True, line.amount, line.acquirer_reference)

    told: set[Key] = set()
    about: dict[Key, list[tuple[Line, bool]]] = defaultdict(list)
    for line in sorted(lines, key=fit):
        identity = (line.kind, line.acquirer_reference)
        about[(line.kind, line.reference)].append((line, identity in told))
        told.add(identity)
    counted: Counter[str] = Counter()
    for key, group in about.items():
        for place, (line, repeats) in enumerate(group):
            if repeats or place > 0:
                counted["duplicated"] += 1
            elif key not in booked:
                counted["missing_here"] += 1
            elif booked[key][1] != line.currency:
                counted["currency_differs"] += 1
            else:
                counted["matched" if booked[key][0] == line.amount else "amount_differs"] += 1
    counted["missing_there"] = len(booked) - counted["matched"] - counted["amount_differs"]
    return +counted


async def by_statement(connection: Connection, booked: dict[Key, tuple[int, str]], lines: list[Line]) -> Counter[str]:
    await connection.execute("TRUNCATE staged, booked, classified, expected")
    await connection.execute(
        "INSERT INTO staged SELECT i, k, a, r, m, 0, c, '2026-11-28' FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[])"
        " AS n (i, k, a, r, m, c)",
        list(range(len(lines))),
        *([getattr(line, name) for line in lines] for name in ("kind", "acquirer_reference", "reference", "amount", "currency")),
    )
    await connection.execute(
        "INSERT INTO booked SELECT r, k, 'txn_' || r || k, 1, m, c, 5 FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) AS n (r, k, m, c)",
        [reference for _, reference in booked],
        [kind for kind, _ in booked],
        [amount for amount, _ in booked.values()],
        [currency for _, currency in booked.values()],
    )
    await connection.execute(SQL["classify"], "bank", False, None)
    await connection.execute(SQL["expect"], 0, 10)
    rows = await connection.fetch(
        "SELECT class, count(*) FROM classified GROUP BY 1 UNION ALL SELECT 'missing_there', count(*) FROM expected HAVING count(*) > 0"
    )
    return Counter({row["class"]: row["count"] for row in rows})


@pytest.fixture
def seed() -> int:
    return random.SystemRandom().randrange(10**9)


async def test_each_line_and_each_booking_is_in_one_class_whatever_their_order(connection: Connection, seed: int) -> None:
    await connection.execute(SQL["begin"])
    chance = random.Random(seed)
    for _ in range(25):
        booked, lines = a_day(chance)
        expected = by_model(booked, lines)
        assert sum(expected.values()) - expected["missing_there"] == len(lines)
        assert await by_statement(connection, booked, lines) == expected, seed
        chance.shuffle(lines)
        assert await by_statement(connection, booked, lines) == expected, seed
        doubled = await by_statement(connection, booked, lines + lines)
        assert doubled == expected + Counter(duplicated=len(lines)), seed
