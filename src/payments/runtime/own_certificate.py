"""The certificate that a task makes for itself when it starts, so that a load balancer speaks TLS to it.

Nobody verifies it: a load balancer takes any certificate of a target, self-signed or expired. It keeps whoever reads along from reading; who may connect
at all is the security groups' business. Source: Elastic Load Balancing, "Target groups for your Application Load Balancers", routing configuration.
"""

import datetime
import secrets
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID_BEFORE = datetime.timedelta(days=1)
"""Clocks differ."""
_VALID = datetime.timedelta(days=3650)
"""Longer than any task runs: it is made anew with each."""


def own_context(name: str, unix_seconds: float) -> ssl.SSLContext:
    """Make a key (ECDSA, P-256) and a certificate for `name`, and return what a server speaks TLS 1.2 and 1.3 with; raises `OSError`."""
    key = ec.generate_private_key(ec.SECP256R1())
    # OpenSSL reads keys from files only: what is in one for a moment is sealed with a password that never leaves this process.
    password = secrets.token_bytes(32)
    sealed = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(password)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.NamedTemporaryFile() as file:  # its owner's alone
        file.write(_certificate(key, name, unix_seconds).public_bytes(serialization.Encoding.PEM) + sealed)
        file.flush()
        context.load_cert_chain(file.name, password=password)
    return context


def _certificate(key: ec.EllipticCurvePrivateKey, name: str, unix_seconds: float) -> x509.Certificate:
    own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.fromtimestamp(unix_seconds, datetime.UTC)
    made = x509.CertificateBuilder(issuer_name=own_name, subject_name=own_name, public_key=key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - _VALID_BEFORE).not_valid_after(now + _VALID)
    return made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
