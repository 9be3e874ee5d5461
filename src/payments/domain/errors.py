"""One tree of errors. A class's docstring says when it is raised; `payments.wire.errors` maps it to HTTP.

Messages, codes and parameters follow Stripe's error reference, because clients branch on them.
"""

from payments.domain.resource import Resource


class TapError(Exception):
    """Anything that Tap itself refuses or fails to do."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param


class InvalidRequest(TapError):
    """The request can never succeed as it stands."""


class ResourceMissing(InvalidRequest):
    """A parameter names what doesn't exist, or belongs to another merchant or mode, which must look the same."""

    def __init__(self, noun: str, object_id: str, *, param: str) -> None:
        super().__init__(f"No such {noun}: '{object_id}'", code="resource_missing", param=param)


class NotFound(ResourceMissing):
    """The path names what doesn't exist, or belongs to another merchant or mode, which must look the same."""

    def __init__(self, noun: str, object_id: str, *, param: str = "id") -> None:
        super().__init__(noun, object_id, param=param)


class NotLinked(NotFound):
    """The customer has no such card. Stripe answers as if the path had named it."""

    def __init__(self, customer_id: str, what: str, *, param: str) -> None:
        InvalidRequest.__init__(self, f"Customer {customer_id} does not have a linked source with {what}.", code="missing", param=param)


class TooWide(InvalidRequest):
    """A list's filters leave more to look through than one call may."""

    def __init__(self, rows_max: int) -> None:
        super().__init__(
            f"None of the {rows_max} objects that were looked at match, and there are more. Narrow the list, for example by another range of created."
        )


class UnexpectedState(InvalidRequest):
    """An intent's status doesn't allow the call. Carries the intent, which the response shows."""

    def __init__(self, message: str, intent: Resource) -> None:
        super().__init__(message, code=f"{intent.OBJECT}_unexpected_state")
        self.intent = intent


class NoAcquirer(InvalidRequest):
    """Nobody is configured who could take the payment."""

    def __init__(self, livemode: bool, currency: str | None) -> None:
        mode = "live" if livemode else "test"
        if currency is not None:
            super().__init__(f"No acquirer is configured that takes {mode} payments in {currency}.", param="currency")
        else:
            super().__init__(
                f"Your account cannot currently make {mode} charges: no acquirer is configured for {mode} mode.",
                code="testmode_charges_only",
            )


class AuthenticationFailed(TapError):
    """No API key, an unknown one, or a revoked one."""


class PermissionDenied(TapError):
    """The API key is valid and not allowed to do this."""


class AccountInvalid(PermissionDenied):
    """The request is about an account that isn't the caller's: whether there is one of that id must not show."""

    def __init__(self, account: str) -> None:
        super().__init__(
            f"The provided key does not have access to account '{account[:100]}' (or that account does not exist). "
            "Application access may have been revoked.",
            code="account_invalid",
        )


class CardError(TapError):
    """The card can't be used: refused by its issuer, or wrong in itself (number, expiry, CVC)."""

    def __init__(self, message: str, *, code: str, decline_code: str | None = None, param: str | None = None) -> None:
        super().__init__(message, code=code, param=param)
        self.decline_code = decline_code


class IdempotencyMismatch(TapError):
    """An idempotency key came again with another request."""

    def __init__(self, key: str, *, paths: tuple[str, str] | None = None) -> None:
        """`paths`: the one that the key is used for now, and the one that it was first used for, if they differ."""
        bound = (
            "with the same parameters they were first used with"
            if paths is None
            else f"for the same endpoint they were first used for ('{paths[0]}' vs '{paths[1]}')"
        )
        super().__init__(
            f"Keys for idempotent requests can only be used {bound}. "
            f"Try using a key other than '{key}' if you meant to execute a different request."
        )


class IdempotencyKeyInUse(TapError):
    """The first request with this idempotency key is still running; the client retries."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, "
            f"and the other request is still going through): {key}. Please try again later.",
            code="idempotency_key_in_use",
        )


class ObjectLocked(TapError):
    """Another request is changing the same object; the client retries."""

    def __init__(self) -> None:
        super().__init__(
            "This object cannot be accessed right now because another API request or process is currently accessing it. "
            "If you see this error intermittently, retry the request.",
            code="lock_timeout",
        )


class RateLimited(TapError):
    """The client asks for more than it may; nothing was done, it retries."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="rate_limit")


class TooManyLists(RateLimited):
    """The merchant has as many lists under way as it may."""

    def __init__(self) -> None:
        super().__init__("Too many lists are being read at once. Please retry, with fewer of them at a time.")


class TooManyWrites(RateLimited):
    """The key wrote as fast as it may."""

    def __init__(self) -> None:
        super().__init__("Request rate limit exceeded. Please retry, with fewer requests a second that change something.")


class TooManyListeners(RateLimited):
    """The key listens as often as it may."""

    def __init__(self, listeners_max: int) -> None:
        super().__init__(f"The key listens to events {listeners_max} times on this copy of the service, which is as often as it may.")


class TooSlow(TapError):
    """A list took longer to read than it may; it was given up, and would be again."""

    def __init__(self) -> None:
        super().__init__("This list takes too long to read. Narrow it, for example by a range of created.", code="rate_limit")


class Overloaded(TapError):
    """More work is waiting than the service accepts, or a part that it needs is away; nothing was done, the client retries."""

    def __init__(self, message: str = "The service is at capacity. Please retry.") -> None:
        super().__init__(message)


class DatabaseAway(TapError):
    """The database can't be reached, or is changing places. Whether anything was done isn't known; a retry with the same idempotency key does it once."""

    def __init__(self) -> None:
        super().__init__("The service is not available right now. Please retry, with the same idempotency key: nothing is done twice.")


class OutcomePending(TapError):
    """The acquirer has the order and its answer isn't known yet; a retry with the same idempotency key learns it and charges nothing."""

    def __init__(self) -> None:
        super().__init__(
            "The outcome of this payment is not known yet. Retry with the same idempotency key, or retrieve the object: nothing is done twice."
        )
