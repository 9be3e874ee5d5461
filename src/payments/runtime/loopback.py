"""TLS between processes of one machine, with a certificate of a service's own making."""

import ssl


def unverified() -> ssl.SSLContext:
    """Return what a client speaks TLS with that asks the service beside it, or itself: nobody else knows its certificate, and nobody is between the two."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
