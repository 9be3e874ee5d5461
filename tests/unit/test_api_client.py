"""Whoever answers instead of Tap is told apart from it, and gets a key only if it is what was named."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from payments.cli.api_client import Api, ApiError, NoAnswerError
from payments.cli.data_directory import UsageError
from payments.cli.listen import Options, forward_url, run_listen


@contextmanager
def answering(answer: bytes) -> Generator[tuple[str, list[str]]]:
    """A server that says the same to everybody; yields its URL, and whom it was called by."""
    heard: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            if self.rfile.readline(65_537):
                headers = iter(self.rfile.readline, b"\r\n")
                heard.extend(line.decode() for line in headers if line.lower().startswith(b"authorization"))
                self.wfile.write(answer)
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", heard
        finally:
            server.shutdown()
            thread.join()


def _whole(body: bytes, head: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


STRANGE = {
    "a page": _whole(b"<html>"),
    "a list": _whole(b"[]"),
    "a page in place of an error": _whole(b"<html>", b"HTTP/1.1 403 Forbidden"),
    "what is cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
    "bytes": _whole(b"\xff\xfe"),
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_what_isnt_taps_answer_is_said_to_be_none(answer: bytes) -> None:
    with answering(answer) as (url, _):
        for method in ("GET", "POST"):
            with pytest.raises((ApiError, NoAnswerError)):
                Api(url, "sk_test_1").call(method, "/v1/customers")
        with pytest.raises(UsageError):
            run_listen(lambda: Api(url, "sk_test_1"), Options())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_key_isnt_sent_where_an_answer_leads(status: int) -> None:
    with answering(_whole(b"{}")) as (elsewhere, heard):
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere}/v1/customers".encode()
        with answering(_whole(b"", moved)) as (url, asked):
            for method in ("GET", "POST"):
                with pytest.raises(NoAnswerError, match=elsewhere):
                    Api(url, "sk_test_1").call(method, "/v1/customers")
            with pytest.raises(UsageError, match=elsewhere):
                run_listen(lambda: Api(url, "sk_test_1"), Options())
            assert len(asked) == 3
    assert heard == []


@pytest.mark.parametrize("base_url", ["http://", "http://exa mple", "http://[::1", "http://127.0.0.1:99999", "http://a..b"])
def test_where_nobody_can_be_is_said(base_url: str) -> None:
    with pytest.raises(NoAnswerError):
        Api(base_url, "sk_test_1").call("GET", "/v1/customers")


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("4242/webhook", "http://localhost:4242/webhook"),
        ("localhost:4242", "http://localhost:4242"),
        ("/webhook", "http://localhost/webhook"),
        ("https://[::1]:4242/", "https://[::1]:4242/"),
    ],
)
def test_where_to_forward_is_written_shortly(given: str, url: str) -> None:
    assert forward_url(given) == url


@pytest.mark.parametrize("given", ["", "http://", "http://[::1", "localhost:99999/x", "localhost:port/"])
def test_where_nothing_can_be_forwarded_to_is_refused(given: str) -> None:
    with pytest.raises(UsageError):
        forward_url(given)
