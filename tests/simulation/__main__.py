"""`make simulate`: simulates seeds, a line each; at the first that breaks something it shows the end of its trace, and how to repeat it."""

import argparse
import os
import sys
import time

import psycopg

from payments.storage.migrate import migrate
from tests.simulation.clients import Plan
from tests.simulation.store import Server
from tests.simulation.world import simulate
from tests.support.postgres import running_postgres


def main() -> int:
    """Return 1 when something is broken."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--steps", type=int, default=Plan().operations, help="operations that clients ask for, of each seed")
    parser.add_argument("--payments", type=int, default=0, help="go on with further seeds until there were so many payments")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets of strings is the interpreter's to choose
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    with running_postgres(fsync="off", shared_buffers="64MB", autovacuum="off") as postgres:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE simulation TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
        migrate(postgres.url("simulation"))
        server = Server(postgres.url("simulation"))
        try:
            return _simulate(server, asked)
        finally:
            server.close()


def _simulate(server: Server, asked: argparse.Namespace) -> int:
    began, payments, steps, faults, kills, seed = time.monotonic(), 0, 0, 0, 0, asked.seed
    while seed < asked.seed + asked.seeds or payments < asked.payments:
        found = simulate(server, seed, Plan(operations=asked.steps))
        print(found, flush=True)
        if found.violation is not None:
            print("\n".join(found.last))
            print(f"{found.violation.invariant}: {found.violation.detail}")
            print(f"again: make simulate SEED={seed} STEPS={asked.steps}")
            return 1
        payments, steps, faults, kills, seed = (
            payments + found.payments,
            steps + found.steps,
            faults + found.faults,
            kills + found.kills,
            seed + 1,
        )
    print(
        f"{seed - asked.seed} seeds, {payments} payments, {steps} steps, {100 * faults / max(steps, 1):.0f} % of them with a fault, {kills} kills, "
        f"nothing broken, in {time.monotonic() - began:.0f} s"
    )
    return 0


sys.exit(main())
