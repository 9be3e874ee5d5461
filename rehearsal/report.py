"""What was done, how long it took, and what it showed."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(slots=True)
class Step:
    """One step of the rehearsal."""

    name: str
    began: float
    """How many seconds after the first step; some go side by side."""
    seconds: float = 0.0
    shown: str = ""
    """What it showed, in a few words; of one that failed, why."""
    failed: bool = False


@dataclass(slots=True)
class Report:
    """The steps so far."""

    console: Console
    steps: list[Step] = field(default_factory=list[Step])
    _began: float = 0.0

    @contextmanager
    def step(self, name: str) -> Generator[Step]:
        """Time a step; what it raises marks it as failed, and goes on."""
        started = time.monotonic()
        if not self.steps:
            self._began = started
        step = Step(name, started - self._began)
        self.steps.append(step)
        self.console.rule(name, align="left")
        try:
            yield step
        except BaseException as failure:
            step.failed, step.shown = True, f"{type(failure).__name__}: {failure}"
            raise
        finally:
            step.seconds = time.monotonic() - started

    @property
    def seconds(self) -> float:
        """How long all of them took together, from the beginning of the first to the end of the last."""
        return max((step.began + step.seconds for step in self.steps), default=0.0)

    def show(self) -> None:
        """Print all steps."""
        table = Table("step", "from", "seconds", "showed", title="The rehearsal")
        for step in self.steps:
            table.add_row(
                step.name, f"{step.began:.1f}", f"{step.seconds:.1f}", Text(f"failed: {step.shown}", "red") if step.failed else step.shown
            )
        table.add_section()
        table.add_row("together", "", f"{self.seconds:.1f}", "")
        self.console.print(table)

    def save(self, path: Path) -> None:
        """Write the steps as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        steps = [
            {
                "step": each.name,
                "from": round(each.began, 1),
                "seconds": round(each.seconds, 1),
                "showed": each.shown,
                "failed": each.failed,
            }
            for each in self.steps
        ]
        path.write_text(json.dumps(steps, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
