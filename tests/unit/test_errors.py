"""What the database gives up is told to the client as what it may try again."""

import asyncpg
import msgspec
import pytest

from payments.wire.errors import failure_error


@pytest.mark.parametrize(
    ("failure", "status", "error_type"),
    [
        (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), 503, "api_error"),
        (TimeoutError(), 503, "api_error"),
        (asyncpg.DiskFullError("could not extend file: No space left on device; statement"), 503, "api_error"),
        (asyncpg.OutOfMemoryError("out of memory"), 503, "api_error"),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), 503, "api_error"),
        (asyncpg.LockNotAvailableError("canceling statement due to lock timeout"), 429, "invalid_request_error"),
        (asyncpg.DeadlockDetectedError("deadlock detected"), 429, "invalid_request_error"),
        (asyncpg.InternalClientError("got result for unknown protocol state 3"), 503, "api_error"),
        (asyncpg.UndefinedTableError("relation does not exist"), 500, "api_error"),
        (KeyError("foo"), 500, "api_error"),
    ],
)
def test_a_time_out_can_be_retried_and_says_nothing_of_the_database(failure: Exception, status: int, error_type: str) -> None:
    answer = failure_error(failure)
    assert (answer.status, msgspec.json.decode(answer.body)["error"]["type"]) == (status, error_type)
    assert answer.headers.get("Stripe-Should-Retry") == (None if status == 500 else "true")
    assert b"statement" not in answer.body
    assert b"foo" not in answer.body
