"""Records `tap listen` beside a Flask handler that verifies with the official `stripe` package: `make recording` makes docs/images/listen.svg anew.

All that it shows was printed by the programs themselves, but for the commands, what is left out of a line, and the signing secret.
"""

import contextlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.syntax import Syntax
from rich.terminal_theme import MONOKAI
from rich.text import Text

from payments.cli.webhook_samples import Framework, sample
from tests.cli.__main__ import handler
from tests.support.running_tap import running_tap
from tests.support.waiting import wait_until

PICTURE = Path(__file__).resolve().parents[2] / "docs/images/listen.svg"
EVENT = "payment_intent.succeeded"
SHOWN_URL = "localhost:4242/webhook"
_COLUMNS = 128
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""They are fetched from elsewhere, which a picture isn't let do where it is shown; there is a font of the reader's own."""
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def recorded() -> tuple[list[str], list[str], list[str]]:
    """Run them; returns what `tap listen`, `tap trigger` and the handler printed."""
    with running_tap() as tap, tempfile.TemporaryDirectory() as directory:
        secret = tap.tap("listen", "--print-secret").stdout.strip()
        with handler(Framework.FLASK, secret) as (url, handled), (listened := Path(directory) / "listened.txt").open("wb") as output:
            command = [sys.executable, "-u", "-m", "payments.cli", "listen", "--forward-to", url, "--data-dir", str(tap.data_dir)]
            wait_until(lambda: "Running on" in handled.read_text(encoding="utf-8"), "the handler listens")
            listening = subprocess.Popen(command, stdout=output, stderr=output)
            try:
                wait_until(lambda: "Ready!" in listened.read_text(encoding="utf-8"), "it listens")
                triggered = tap.tap("trigger", EVENT).stdout.splitlines()
                # Of a payment that succeeds three events tell.
                wait_until(lambda: listened.read_text(encoding="utf-8").count("[200]") == 3, "all came, and were verified")
            finally:
                listening.terminate()
                listening.wait()
            shown = [line.replace(url.removeprefix("http://"), SHOWN_URL).replace(secret, "whsec_…") for line in lines_of(listened)]
            return shown, triggered, [line for line in lines_of(handled) if "Paid" in line]


def terminal(command: str, printed: list[str]) -> RenderableType:
    return Group(
        Text(f"$ {command}", style="bold"), *(Text(line, style=style_of(line), no_wrap=True, overflow="ellipsis") for line in printed)
    )


def style_of(line: str) -> str:
    return "green" if "[200]" in line or line.startswith("Paid") else "cyan" if "-->" in line else ""


def main() -> None:
    listened, triggered, handled = recorded()
    with contextlib.closing(tempfile.TemporaryFile("w", encoding="utf-8")) as nowhere:
        console = Console(record=True, width=_COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(
            Panel(Syntax(sample(Framework.FLASK).strip(), "python", theme="monokai", background_color="default"), title="webhook.py")
        )
        console.print(Panel(terminal(f"tap listen --forward-to {SHOWN_URL}", listened), title="tap listen"))
        console.print(Panel(terminal(f"tap trigger {EVENT}", triggered), title="a payment"))
        console.print(Panel(terminal("flask --app webhook run --port 4242", handled), title="the handler"))
        picture = console.export_svg(title="tap listen", theme=MONOKAI, unique_id="listen")
    PICTURE.write_text(_TRAILING.sub("", _FONTS.sub("", picture)), encoding="utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
