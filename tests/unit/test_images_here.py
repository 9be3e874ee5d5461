"""What gets the name of a commit is that commit, built for the machines that run it; what isn't there is refused."""

import io
import os
import shutil
import stat
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from payments.cli import assembly
from payments.cli.assembly import synthesise
from payments.cli.aws import images
from payments.cli.aws.images import Images, current_tag, local_image
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Architecture, Names, Service
from tests.support.stubbed_aws import StubbedAws, stubbed_aws

ROOT = Path(__file__).parents[2]
DEV = Names("dev")
API = Service.PAYMENT_API
ENGINE = """#!/bin/bash
echo "$*" >> "$HERE/calls"
case "$1 $2" in
    "image inspect") [ "$4" = "{{.Size}}" ] && echo 1000000 || { grep -qxF "$5" "$HERE/built" && cat "$HERE/architecture"; } ;;
    "build --quiet") while [ $# -gt 1 ]; do [ "$1" = --tag ] && echo "$2" >> "$HERE/built"; shift; done ;;
esac
"""


@dataclass(frozen=True)
class Engine:
    """A container engine that keeps what it was told."""

    here: Path

    @property
    def calls(self) -> list[str]:
        return (self.here / "calls").read_text().splitlines()

    def begun(self, *words: str) -> list[str]:
        """The calls that begin with these words."""
        return [call for call in self.calls if call.startswith(" ".join(words))]

    def has(self, tag: str) -> None:
        """Somebody built these images before."""
        (self.here / "built").write_text("".join(f"{local_image(service, tag)}\n" for service in Service))

    def does(self, script: str) -> None:
        (self.here / "engine").write_text(f"#!/bin/bash\n{script}\n")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    here = tmp_path / "engine"
    here.mkdir()
    for name in ("calls", "built"):
        (here / name).touch()
    (here / "architecture").write_text("amd64\n")
    script = here / "engine"
    script.write_text(ENGINE)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("HERE", str(here))
    monkeypatch.setenv("ENGINE", str(script))
    return Engine(here)


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean checkout, in which the command runs."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "Dockerfile"):
        shutil.copy(ROOT / name, checkout / name)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    monkeypatch.chdir(checkout)
    return checkout


@pytest.fixture
def stubbed() -> Generator[StubbedAws]:
    with stubbed_aws() as found:
        yield found


def make_images(*arguments: str) -> None:
    subprocess.run(["make", "images", *arguments], check=True, capture_output=True)


def provide(stubbed: StubbedAws, tag: str, *, pushed: bool = True, architecture: Architecture = Architecture.X86_64) -> None:
    """Have a tag of payment-api in its repository, which lacks it."""
    stubbed.refuse("ecr", "describe_images", "ImageNotFoundException")
    if pushed:
        grant = {"authorizationToken": "QVdTOng=", "proxyEndpoint": "https://1.dkr.ecr.eu-west-1.amazonaws.com"}
        stubbed.answer("ecr", "get_authorization_token", {"authorizationData": [grant]})
    Images(stubbed.aws, DEV, Console(file=io.StringIO())).provide([API], tag, architecture)


def test_images_are_built_for_the_machines_that_run_them_wherever_they_are_built(engine: Engine) -> None:
    make_images()
    built = engine.begun("build")
    assert len(built) == len(Service)
    assert all("--platform linux/amd64" in call for call in built)


@pytest.mark.parametrize(("architecture", "platform"), [(Architecture.X86_64, "linux/amd64"), (Architecture.ARM64, "linux/arm64")])
def test_a_commit_is_built_for_the_processors_that_the_tasks_have(
    stubbed: StubbedAws, engine: Engine, architecture: Architecture, platform: str
) -> None:
    provide(stubbed, current_tag(), architecture=architecture)
    built = engine.begun("build")
    assert len(built) == len(Service)
    assert all(f"--platform {platform} " in call for call in built)


def test_an_image_for_other_processors_is_not_pushed(stubbed: StubbedAws, engine: Engine) -> None:
    """Its tasks would end as they start, after a migration that could not run either."""
    engine.has("try-1")
    with pytest.raises(UsageError, match=r"is made for amd64, and the tasks run on arm64: .*make images TAG=try-1 PLATFORM=linux/arm64"):
        provide(stubbed, "try-1", pushed=False, architecture=Architecture.ARM64)
    assert engine.begun("push") == []


def test_a_clean_checkout_names_its_images_after_the_commit(engine: Engine) -> None:
    make_images()
    assert all(f"--tag tap/{service}:{current_tag()} " in call for service, call in zip(Service, engine.begun("build"), strict=True))


@pytest.mark.parametrize("changed", ["Dockerfile", "another"])
def test_what_isnt_committed_is_not_named_after_the_commit(engine: Engine, checkout: Path, changed: str) -> None:
    commit = current_tag()
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    make_images()
    assert all(f":{commit}-dirty " in call for call in engine.begun("build"))


def test_the_commit_is_built_even_if_something_has_its_name_already(stubbed: StubbedAws, engine: Engine) -> None:
    engine.has(current_tag())
    provide(stubbed, current_tag())
    assert len(engine.begun("build")) == len(Service)
    assert engine.calls[-1] == f"push --quiet 1.dkr.ecr.eu-west-1.amazonaws.com/tap-dev/payment-api:{current_tag()}"


def test_an_image_that_somebody_named_is_pushed_as_it_is(stubbed: StubbedAws, engine: Engine) -> None:
    engine.has("try-1")
    provide(stubbed, "try-1")
    assert engine.begun("build") == []
    assert engine.calls[-1] == "push --quiet 1.dkr.ecr.eu-west-1.amazonaws.com/tap-dev/payment-api:try-1"


def test_an_image_that_is_nowhere_is_refused_and_not_made_of_something_else(stubbed: StubbedAws, engine: Engine) -> None:
    with pytest.raises(
        UsageError, match=r"^There is no image 1\.2\.3: it isn't in the repositories, it isn't tap/payment-api:1\.2\.3 here"
    ):
        provide(stubbed, "1.2.3", pushed=False)
    assert engine.begun("build") == []


def test_the_commit_of_a_changed_checkout_is_refused(stubbed: StubbedAws, engine: Engine, checkout: Path) -> None:
    commit = current_tag()
    (checkout / "changed").touch()
    with pytest.raises(UsageError, match=f"^There is no image {commit}: "):
        provide(stubbed, commit, pushed=False)
    assert engine.begun("build") == []


def test_an_engine_that_does_not_run_is_told_in_its_words(stubbed: StubbedAws, engine: Engine) -> None:
    engine.does("echo 'Cannot connect to the Docker daemon.' >&2; exit 1")
    with pytest.raises(UsageError, match=r"engine ps: Cannot connect to the Docker daemon\.$"):
        provide(stubbed, current_tag(), pushed=False)


def test_an_engine_that_is_not_there(stubbed: StubbedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "no-such-engine")
    with pytest.raises(UsageError, match="no-such-engine isn't installed"):
        provide(stubbed, current_tag(), pushed=False)


def test_an_engine_that_hangs_is_one_line(stubbed: StubbedAws, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.does("exec sleep 600")
    monkeypatch.setattr(images, "_ENGINE_SECONDS_MAX", 0.05)
    with pytest.raises(UsageError, match="engine ps didn't end within"):
        provide(stubbed, current_tag(), pushed=False)


@pytest.mark.usefixtures("engine")
def test_a_build_that_hangs_is_one_line(stubbed: StubbedAws, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".git/info/exclude").write_text("GNUmakefile\n")
    (checkout / "GNUmakefile").write_text("images:\n\t@exec sleep 600\n")
    monkeypatch.setattr(images, "_BUILD_SECONDS_MAX", 0.05)
    with pytest.raises(UsageError, match="weren't built within"):
        provide(stubbed, current_tag(), pushed=False)


def test_a_synthesis_that_hangs_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "lib").mkdir()
    (checkout / "lib/tap_stack.py").touch()
    (checkout / "app.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(assembly, "_SYNTHESIS_SECONDS_MAX", 0.05)
    with pytest.raises(UsageError, match="wasn't synthesised within"):
        synthesise(checkout / "out", {})
