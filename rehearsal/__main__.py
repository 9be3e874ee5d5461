"""`make rehearse`: deploy, release, break and destroy an environment on an emulated AWS, with real containers and payments through all of it."""

import argparse
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from payments.cli.data_directory import UsageError
from rehearsal import stamp
from rehearsal.base_images import base_images
from rehearsal.engine import INSTALL_VARIABLE, Engine, running_engine
from rehearsal.operating import Operator, RehearsalFailed
from rehearsal.private_engine import EngineError
from rehearsal.report import Report
from rehearsal.scenario import ENVIRONMENT, Scenario
from rehearsal.stage import ROOT, stage

_CACHE = ROOT / ".rehearsal"


def main() -> None:
    """Rehearse; exit status 1 when something isn't as it must be, 75 when there is no engine to rehearse on, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal", description=__doc__)
    parser.add_argument("--report", type=Path, default=ROOT / "bench-results" / "rehearsal.json", help="where the timings are written")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stage is cleared away
    console = Console(highlight=False)
    report = Report(console)
    rehearsed = stamp.fingerprint()
    try:
        with running_engine(_CACHE / "engine", may_install=os.environ.get(INSTALL_VARIABLE) == "1") as engine:
            _rehearse(engine, report)
        stamp.write(rehearsed)
    except EngineError as failure:
        sys.exit(_say(failure, 1 if report.steps else os.EX_TEMPFAIL))
    except (RehearsalFailed, UsageError, TimeoutError, subprocess.CalledProcessError) as failure:
        sys.exit(_say(failure, 1))
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if report.steps:
            report.show()
            report.save(options.report)


def _rehearse(engine: Engine, report: Report) -> None:
    with report.step("base images, from Debian's packages") as step:
        images = base_images(engine, _CACHE, may_install=os.environ.get(INSTALL_VARIABLE) == "1")
        step.shown = "base, PostgreSQL, emulator"
    with ExitStack() as stack:
        with report.step("images of the services, and the stage") as step:
            built = stack.enter_context(stage(engine, images, ENVIRONMENT))
            step.shown = "three, from the one Dockerfile"
        operator = Operator(built, built.aws())
        try:
            Scenario(operator, report, built.import_certificate()).run()
        except Exception:
            operator.show_targets()
            raise


def _say(failure: Exception, status: int) -> int:
    print(f"Rehearsal: {failure}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
