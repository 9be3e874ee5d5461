"""What the embedded server's package needs of whoever uses it."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from payments.cli import postgres


def test_two_that_prepare_at_once_as_root_make_its_user_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users: set[str] = set()

    def get_server(*_: Any, **__: Any) -> Any:
        if "pgserver" not in users:
            time.sleep(0.2)
            assert "pgserver" not in users, "useradd fails: it exists"
            users.add("pgserver")
        return SimpleNamespace(system_user=None, ensure_pgdata_inited=lambda: None)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres._pgserver, "get_server", get_server)
    with ThreadPoolExecutor() as pool:
        for made in [pool.submit(postgres.EmbeddedPostgres(tmp_path / name).prepare) for name in "abc"]:
            made.result()
