"""Fuzzes a Tap of its own by what it says of itself in /docs/openapi.json, with schemathesis: `make fuzz`.

No answer is a failure of ours, or has a status that isn't described, or a body that doesn't fit. What isn't looked at: streams, which don't end.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.running_tap import running_tap

SCHEMATHESIS = Path(__file__).resolve().parents[2] / ".venv/fuzz/bin/schemathesis"
"""Made by `make fuzz`."""
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance", "unsupported_method")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="how long at most (%(default)s)")
    parser.add_argument("--seed", type=int, help="that of an earlier run, to repeat it")
    parser.add_argument("others", nargs="*", help="further options of schemathesis, after --")
    given = parser.parse_args()
    # It keeps what it found beside where it is started.
    with running_tap() as tap, tempfile.TemporaryDirectory() as directory:
        key = tap.create_key("--new-merchant", "Fuzzed")
        command = [
            str(SCHEMATHESIS),
            "run",
            f"{tap.status()['base_url']}/docs/openapi.json",
            *("--checks", ",".join(CHECKS)),
            *("--auth", f"{key}:"),
            *("--exclude-path", "/v1/events/stream"),
            *("--max-time", str(given.seconds)),
            *("--generation-database", "none"),
            *("--warnings", "off"),
            "--continue-on-failure",
            *(() if given.seed is None else ("--seed", str(given.seed))),
            *given.others,
        ]
        return subprocess.run(command, cwd=directory, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
