"""What the README and the page on clients show works word for word."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT, examples, output_of
from tests.support.running_tap import RunningTap, free_port

CDK = ROOT / ".venv/cdk/node_modules"


@pytest.fixture
def checkout(tap: RunningTap, tmp_path: Path) -> Path:
    """A directory in which `.venv` and `.tap` are where the examples look for them."""
    (tmp_path / ".tap").symlink_to(tap.data_dir)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "node_modules").symlink_to(CDK)
    return tmp_path


def test_the_example_works_verbatim(checkout: Path) -> None:
    (example,) = examples("README.md", "python")
    assert re.match(r"pi_[0-9A-Za-z]{24} succeeded\n-?\d+ cents", output_of([sys.executable, "-c", example], checkout))


def test_the_calls_in_python_work_verbatim(checkout: Path) -> None:
    calls, receiver = examples("docs/clients.md", "python")
    assert output_of([sys.executable, "-c", calls], checkout) == "Your card was declined.\nsucceeded succeeded\n"
    receiver = receiver.replace("4242", str(free_port()))
    assert output_of([sys.executable, "-c", receiver], checkout) == "payment_intent.succeeded 2000\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_call_with_curl_works_verbatim(checkout: Path) -> None:
    (example,) = examples("docs/clients.md", "bash")
    payment = json.loads(output_of(["bash", "-euc", example.replace("curl ", "curl --silent ")], checkout))
    assert (payment["object"], payment["status"]) == ("payment_intent", "succeeded")


def test_the_call_in_node_works_verbatim(checkout: Path) -> None:
    (example,) = examples("docs/clients.md", "js")
    (checkout / "pay.mjs").write_text(example)
    assert re.fullmatch(r"pi_[0-9A-Za-z]{24} succeeded\n", output_of([f"{sys.prefix}/bin/node", "pay.mjs"], checkout))


def test_every_page_and_target_that_is_named_exists() -> None:
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
            named = page.parent / target if target else page
            assert named.exists(), f"{page.name} names {target}"
            if anchor:
                headings = re.findall(r"^#+ (.+)$", named.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{page.name} names {target}#{anchor}"
        for target in re.findall(r"`make ([a-z-]+)", text):
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), (
                f"{page.name} names make {target}"
            )
    assert os.access(ROOT / ".ci/run", os.X_OK)
