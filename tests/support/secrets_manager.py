"""A Secrets Manager with logins of the database, and the endpoint that hands out a task role's keys. Signatures are checked by AWS's own library."""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from payments.runtime.aws_role import AwsAccess
from payments.runtime.secrets_manager import SecretLocation
from tests.support.serving import Handler, serving

ARN = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:DatabaseSecret-AbCdEf"
KEYS = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "secret/of+the=role",
    "Token": "token//of+the=role==",
    "Expiration": "2040-01-01T00:00:00Z",
}
_KEYS_PATH = "/v2/credentials/5d8f"


@dataclass
class FakeSecretsManager:
    url: str = ""
    passwords: dict[str, str] = field(default_factory=dict)
    """The versions of the secret `ARN`, by stage."""
    others: dict[str, dict[str, str]] = field(default_factory=dict)
    """Those of other secrets, by ARN."""
    reads: list[str] = field(default_factory=list)
    """The stages that were asked for."""
    forged: list[str] = field(default_factory=list)
    """Requests that AWS wouldn't have accepted."""
    status: int = 200
    delay_seconds: float = 0

    def location(self) -> SecretLocation:
        return SecretLocation(ARN, AwsAccess(credentials_url=self.url + _KEYS_PATH, keys=None, endpoints={"": self.url}))

    def variables(self) -> dict[str, str]:
        """How a process finds it."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ACCESS_KEY_ID": KEYS["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": KEYS["SecretAccessKey"],
            "AWS_SESSION_TOKEN": KEYS["Token"],
        }

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        if not _is_signed(self.url, headers, body):
            self.forged.append(headers.get("authorization", ""))
            return 400, {"__type": "InvalidSignatureException"}
        asked = json.loads(body)
        self.reads.append(asked["VersionStage"])
        time.sleep(self.delay_seconds)
        if self.status != 200:
            return self.status, {"__type": "com.amazonaws.secretsmanager#InternalServiceError"}
        versions = {ARN: self.passwords, **self.others}.get(asked["SecretId"], {})
        if asked["VersionStage"] not in versions:
            return 400, {"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret value"}
        secret = {"username": "tap", "password": versions[asked["VersionStage"]]}
        return 200, {
            "ARN": asked["SecretId"],
            "Name": "DatabaseSecret",
            "SecretString": json.dumps(secret),
            "VersionStages": [asked["VersionStage"]],
        }


def _is_signed(url: str, headers: dict[str, str], body: bytes) -> bool:
    authorization = headers.get("authorization", "")
    if headers.get("x-amz-target") != "secretsmanager.GetSecretValue" or "SignedHeaders=" not in authorization:
        return False
    names = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest("POST", url + "/", headers={name: headers[name] for name in names}, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(BotoCredentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], KEYS["Token"]), "secretsmanager", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return authorization.endswith(f"Signature={signature}") and headers.get("x-amz-security-token") == KEYS["Token"]


@contextmanager
def fake_secrets_manager() -> Generator[FakeSecretsManager]:
    fake = FakeSecretsManager()

    class SecretsManager(Handler):
        def take(self) -> None:
            if self.command == "GET":
                status, answer = (200, KEYS) if self.path == _KEYS_PATH else (404, {})
            else:
                status, answer = fake.answer({name.lower(): value for name, value in self.headers.items()}, self.body())
            self.answer(status, json.dumps(answer).encode())

    with serving(SecretsManager) as fake.url:
        yield fake
