"""Requests to AWS are signed as AWS's own test vectors and its own library say."""

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from payments.runtime.aws_signature import AwsKeys, Scope, signed_headers
from payments.runtime.secrets_manager import SecretLocation
from tests.support.secrets_manager import ARN

# AWS's "Signature Version 4 test suite": every request is of 2015-08-30 12:36:00 UTC, with these keys.
NOW = 1_440_938_160
SCOPE = Scope("us-east-1", "service")
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQ"
    "rmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+s"
    "cqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
VECTORS = {
    "post-vanilla": ({}, b"", None, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-header-key-sort": ({"My-Header1": "value1"}, b"", None, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
    "post-x-www-form-urlencoded": (
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"Param1=value1",
        None,
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-sts-header-before": ({}, b"", TOKEN, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_signature_is_that_of_the_published_vector(name: str) -> None:
    headers, body, token, signature = VECTORS[name]
    signed = signed_headers(
        {"Host": "example.amazonaws.com", **headers}, body, keys=AwsKeys("AKIDEXAMPLE", SECRET, token), scope=SCOPE, now=NOW
    )
    names = ";".join(sorted({"host", "x-amz-date", *map(str.lower, headers), *(["x-amz-security-token"] if token else [])}))
    assert signed["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={names}, Signature={signature}"
    )


@given(st.binary(max_size=200), st.text("abcXYZ019/+=", min_size=1), st.integers(0, 4_000_000_000), st.booleans())
def test_a_signature_is_that_of_awss_own_library(body: bytes, secret: str, now: int, temporary: bool) -> None:
    keys = AwsKeys("AKID", secret, "token/+=" if temporary else None)
    headers = {"host": "secretsmanager.eu-west-1.amazonaws.com", "content-type": "application/x-amz-json-1.1"}
    signed = signed_headers(headers, body, keys=keys, scope=Scope("eu-west-1", "secretsmanager"), now=now)
    authorization = signed.pop("authorization")
    request = AWSRequest("POST", "https://secretsmanager.eu-west-1.amazonaws.com/", headers=signed, data=body)
    request.context["timestamp"] = signed["x-amz-date"]
    signer = SigV4Auth(Credentials("AKID", secret), "secretsmanager", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert authorization.endswith(f"Signature={signature}")


def test_keys_are_not_shown() -> None:
    keys = AwsKeys("AKID", "hunter2", "hunter3")
    location = SecretLocation.from_environment(ARN, {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hunter2"})
    assert location.access.keys is not None
    assert "hunter" not in repr(keys) + repr(location)


@pytest.mark.parametrize(
    ("arn", "environment", "endpoint"),
    [
        (ARN, {}, "https://secretsmanager.eu-west-1.amazonaws.com"),
        (ARN.replace("aws:", "aws-cn:").replace("eu-west-1", "cn-north-1"), {}, "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
        (ARN, {"AWS_ENDPOINT_URL": "http://aws:4566"}, "http://aws:4566"),
        (ARN, {"AWS_ENDPOINT_URL": "http://aws", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://secrets"}, "http://secrets"),
    ],
)
def test_a_secret_is_found_where_its_arn_says(arn: str, environment: dict[str, str], endpoint: str) -> None:
    fargate = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/5d8f"}
    location = SecretLocation.from_environment(arn, {**environment, **fargate})
    assert (location.access.endpoint(arn), location.access.keys) == (endpoint, None)
    assert location.access.credentials_url == "http://169.254.170.2/v2/credentials/5d8f"


@pytest.mark.parametrize("arn", ["", "DatabaseSecret", "arn:aws:secretsmanager:eu-west-1:1:secret:", "arn:aws:rds:eu-west-1:1:secret:x"])
def test_what_is_no_secrets_arn_is_refused(arn: str) -> None:
    with pytest.raises(ValueError, match="not the ARN of a secret"):
        SecretLocation.from_environment(arn, {})
