"""The embedded server's files: where they may be, and what they need of the package's."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict

from payments.cli import postgres
from payments.cli.data_directory import UsageError
from payments.cli.postgres import EmbeddedPostgres


def test_two_that_prepare_at_once_as_root_make_its_user_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    users: set[str] = set()

    def ensure_user_exists(name: str) -> Any:
        if name not in users:
            time.sleep(0.2)
            assert name not in users, "useradd fails: it exists"
            users.add(name)
        return SimpleNamespace(pw_uid=1, pw_gid=2)

    monkeypatch.setattr(postgres._utils, "ensure_user_exists", ensure_user_exists)
    with ThreadPoolExecutor() as pool:
        assert [made.result() for made in [pool.submit(postgres._server_user) for _ in range(3)]] == [(1, 2)] * 3


@pytest.mark.parametrize(
    "name", ["plain", "a b", "100%", "%20", "#1", "a&b=c", "a?b", "a:b@c", "é", "a'b", 'a"b', "a\\b", "a+b", "a,b", "[x]", "{x}"]
)
@pytest.mark.parametrize("password", [None, "p"])
def test_every_driver_finds_the_server_wherever_it_is(tmp_path: Path, name: str, password: str | None) -> None:
    server = EmbeddedPostgres(tmp_path / name, password=password)
    url = server.url("tap")
    (host,) = parse_qs(urlsplit(url).query)["host"]  # as asyncpg and yoyo read it
    parsed = conninfo_to_dict(url)
    assert parsed["host"] == host == str(server._socket_directory)
    assert (parsed["dbname"], parsed["user"], parsed.get("password")) == ("tap", "postgres", password)
    assert "," not in host


def test_a_socket_fits_its_address_however_long_the_directory_is(tmp_path: Path) -> None:
    first, second = (EmbeddedPostgres(tmp_path / ("x" * 200) / name) for name in "ab")
    assert len(str(first._socket_directory / ".s.PGSQL.5432")) <= 107
    assert first._socket_directory != second._socket_directory


def test_a_database_of_another_version_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(UsageError, match="is of PostgreSQL 17, and this Tap has"):
        EmbeddedPostgres(tmp_path).prepare()
