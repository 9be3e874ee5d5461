"""What was done, how long it took, and what it showed."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Step:
    """One step of the rehearsal."""

    name: str
    seconds: float = 0.0
    shown: str = ""
    """What it showed, in a few words."""
    failed: bool = False


@dataclass(slots=True)
class Report:
    """The steps so far."""

    console: Console
    steps: list[Step] = field(default_factory=list[Step])

    @contextmanager
    def step(self, name: str) -> Generator[Step]:
        """Time a step; what it raises marks it as failed, and goes on."""
        step = Step(name)
        self.steps.append(step)
        self.console.rule(name, align="left")
        started = time.monotonic()
        try:
            yield step
        except BaseException:
            step.failed = True
            raise
        finally:
            step.seconds = time.monotonic() - started

    def show(self) -> None:
        """Print all steps."""
        table = Table("step", "seconds", "showed", title="The rehearsal")
        for step in self.steps:
            table.add_row(step.name, f"{step.seconds:.1f}", "[red]failed[/red]" if step.failed else step.shown)
        table.add_section()
        table.add_row("together", f"{sum(step.seconds for step in self.steps):.1f}", "")
        self.console.print(table)

    def save(self, path: Path) -> None:
        """Write the steps as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        steps = [{"step": each.name, "seconds": round(each.seconds, 1), "showed": each.shown, "failed": each.failed} for each in self.steps]
        path.write_text(json.dumps(steps, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
