"""AWS's certificate authorities for databases, as the images have them."""

import datetime
import re
from collections import Counter
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lib.environments import TWO_ZONE_REGIONS
from payments import storage

BUNDLE = Path(storage.__path__[0]) / "rds-global-bundle.pem"
IN_A_YEAR = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365)
REGIONS = {
    *("af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2"),
    *("ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ca-central-1", "eu-central-1", "eu-central-2"),
    *("eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "me-central-1", "me-south-1"),
    *("sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"),
}


@pytest.fixture(scope="module")
def authorities() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(BUNDLE.read_bytes())


def test_every_certificate_is_read(authorities: list[x509.Certificate]) -> None:
    assert (
        len(authorities) == BUNDLE.read_text().count("-----BEGIN CERTIFICATE-----") == BUNDLE.read_text().count("-----END CERTIFICATE-----")
    )


def test_each_is_an_authority_of_aws_that_signed_itself(authorities: list[x509.Certificate]) -> None:
    for each in authorities:
        assert each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, each.subject
        assert each.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign, each.subject
        each.verify_directly_issued_by(each)
        assert "O=Amazon Web Services\\, Inc." in each.subject.rfc4514_string()


def test_none_expires_within_a_year(authorities: list[x509.Certificate]) -> None:
    assert [each.subject for each in authorities if each.not_valid_after_utc < IN_A_YEAR] == []


def test_none_is_there_twice(authorities: list[x509.Certificate]) -> None:
    counted = Counter(each.fingerprint(hashes.SHA256()) for each in authorities)
    assert set(counted.values()) == {1}


def test_each_region_has_its_three(authorities: list[x509.Certificate]) -> None:
    found: dict[str, set[str]] = {}
    for each in authorities:
        (name,) = each.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        match = re.fullmatch(r"Amazon RDS (\S+) Root CA (RSA2048|RSA4096|ECC384) G1", str(name.value))
        assert match is not None, name
        key = each.public_key()
        assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        assert str(key.key_size) in match[2]
        found.setdefault(match[1], set()).add(match[2])
    assert found.keys() >= REGIONS | {region for region in TWO_ZONE_REGIONS if not region.startswith("cn-")}
    assert {region: kinds for region, kinds in found.items() if kinds != {"RSA2048", "RSA4096", "ECC384"}} == {}
