"""An emulated AWS without an engine, and Tap's stack on it, deployed by the unmodified CDK command line.

Each module has its own: one takes the stack away, and in what order modules run is decided by whoever runs them.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

from payments.runtime.topology import SERVICES
from tests.support.assemblies import assembly
from tests.support.emulated_aws import (
    ACCOUNT,
    DEV,
    REGION,
    Aws,
    Cdk,
    Emulator,
    clients,
    put_image,
    running_emulator,
    scale,
)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Generator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="module")
def aws(emulator: Emulator) -> Generator[Aws]:
    with clients(emulator) as made:
        yield made


@pytest.fixture(scope="module")
def cdk(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Cdk:
    return Cdk(emulator, tmp_path_factory.mktemp("cdk"))


@pytest.fixture(scope="module")
def deployed(cdk: Cdk, aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environment dev, with one healthy task of each service; what it was made from."""
    made_from = assembly(tmp_path_factory, "deployed")
    cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(made_from))
    cdk("deploy", DEV.stack, "--app", str(made_from), "--require-approval", "never")
    for service in SERVICES:
        put_image(aws, service, "one")
        scale(aws, service, 1)
    return made_from
