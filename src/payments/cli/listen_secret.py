"""What `tap listen` signs with."""

import base64
import hmac


def signing_secret(api_key: str) -> str:
    """Return the secret: made of the API key, so that it is the same each time, and nothing has to be kept."""
    return "whsec_" + base64.b64encode(hmac.digest(api_key.encode(), b"tap listen", "sha256")).decode("ascii")
