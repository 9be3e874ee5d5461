"""What sealed values are bound to, so that one that was moved to another row doesn't open. Whoever seals anew must know it as well."""


def number_context(merchant_id: int, livemode: bool, payment_method: str) -> bytes:
    """Of a card number."""
    return f"number {merchant_id} {livemode} {payment_method}".encode()


def cvc_context(merchant_id: int, livemode: bool, payment_method: str) -> bytes:
    """Of a security code."""
    return f"cvc {merchant_id} {livemode} {payment_method}".encode()


def secret_context(merchant_id: int, livemode: bool, endpoint: str) -> bytes:
    """Of a webhook endpoint's signing secret."""
    return f"webhook secret {merchant_id} {livemode} {endpoint}".encode()


def response_context(merchant_id: int, livemode: bool, request_id: str) -> bytes:
    """Of a stored answer."""
    return f"response {merchant_id} {livemode} {request_id}".encode()


def account_number_context(merchant_id: int, livemode: bool, bank_account: str) -> bytes:
    """Of a bank account's number."""
    return f"account number {merchant_id} {livemode} {bank_account}".encode()


def cli_session_context() -> bytes:
    """Of a session of Stripe's command line, which names its merchant itself."""
    return b"stripe cli session"
