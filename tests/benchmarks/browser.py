"""What a buyer's browser loads, and how soon a card can be typed there: `make bench-browser` (needs chromium).

Times are medians on this machine, from the navigation until the fields are there: with an empty cache, and again.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from tests.support.running_tap import running_tap

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="how often each page is opened")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        parser.error("no chromium is on PATH: on Debian, apt install chromium")
    for name in ("tap.js", "frame.html"):
        body = files("payments.pages").joinpath("js", name).read_bytes()
        print(f"{name:16} {len(body):7,} bytes, {len(gzip.compress(body)):6,} compressed")
    with running_tap() as tap:
        status = tap.status()
        given = {
            "TAP_URL": status["base_url"],
            "TAP_PUBLISHABLE_KEY": status["publishable_key"],
            "TAP_SECRET_KEY": status["secret_key"],
            "CHROMIUM": chromium,
            "MODULES": str(ROOT / ".venv/browser/node_modules"),
        }
        command = [f"{sys.prefix}/bin/node", str(ROOT / "browser/test/measure.mjs"), str(arguments.times)]
        done = subprocess.run(command, env={**os.environ, **given}, stdout=subprocess.PIPE, text=True, check=True)
    for line in map(json.loads, done.stdout.splitlines()):
        print(f"{line['page']:16} {line['bytes']:7,} bytes over the network; fields after {line['first']} ms, again {line['again']} ms")


if __name__ == "__main__":
    main()
