"""A certificate authority that is thrown away, and the certificate of one server: what stands for AWS's authorities, for databases and for the public."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal.emulator.restores import ENDPOINT_LABEL

_BEFORE, _AFTER = datetime.timedelta(days=1), datetime.timedelta(days=7)


def database_names(region: str) -> tuple[str, ...]:
    """Return what the emulated databases are called: every cluster of the region, and this machine for a look from outside."""
    return f"*.{ENDPOINT_LABEL}.{region}.rds.amazonaws.com", "localhost", "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Authority:
    """Files of a directory. The authority's key isn't among them: it signs once."""

    ca_file: Path
    certificate_file: Path
    key_file: Path
    """Mode 0600, as PostgreSQL wants it."""

    @staticmethod
    def create(directory: Path, *names: str) -> "Authority":
        """Make an authority, and a certificate for a server of these DNS names (`*.` for any one label) or addresses."""
        directory.mkdir(parents=True, exist_ok=True)
        authority = Authority(directory / "ca.pem", directory / "server.pem", directory / "server.key")
        ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        authority.ca_file.write_bytes(_ca(ca_key).public_bytes(serialization.Encoding.PEM))
        authority.certificate_file.write_bytes(_server(server_key, ca_key, names).public_bytes(serialization.Encoding.PEM))
        authority.key_file.touch(mode=0o600)
        authority.key_file.write_bytes(
            server_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return authority

    def server_context(self) -> ssl.SSLContext:
        """Return what a server speaks TLS with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


_CA_NAME = _name("Tap's rehearsal")


def _builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(issuer_name=_CA_NAME, subject_name=subject, public_key=key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - _BEFORE).not_valid_after(now + _AFTER)
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False).add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
    )


def _ca(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = _builder(_CA_NAME, key, key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return made.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _server(key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> x509.Certificate:
    made = _builder(_name(names[0]), key, ca_key)
    made = made.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    return made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False).sign(ca_key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
