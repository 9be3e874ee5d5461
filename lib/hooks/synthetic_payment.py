"""Tries a release out before customers' traffic moves: a payment in test mode on the test listener, held, captured and refunded, and a webhook.

Only the release's own new tasks are tried out: what the front door leads to them is asked for at its test listener, and everything else at the listener that
customers use; where another service calls them, the header of a trial has it call the new ones. So a release fails by itself alone, whatever others are being
tried out beside it.

A Lambda function that CodeDeploy calls after it allowed test traffic; CodeDeploy goes on when it reports "Succeeded", and rolls back when it reports
"Failed". It has nothing but Python's standard library and boto3, which Lambda brings. Source: CodeDeploy, "AppSpec 'hooks' section for an Amazon ECS
deployment".
"""

import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3

_boto3: Any = boto3  # its types cover what is installed of them, and Lambda has none

_ATTEMPTS_MAX = 5
_PAUSE_SECONDS = 3.0
_TIMEOUT_SECONDS = 15.0


class CheckFailed(Exception):
    """The release doesn't do what it must; the message says what was asked and what came."""


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Try the payment, and tell CodeDeploy how it went."""
    if event.get("awake"):  # the daily call, for which being called is all
        return
    try:
        deployment = _boto3.client("codedeploy").get_deployment(deploymentId=event["DeploymentId"])["deploymentInfo"]
        _try_out(event["LifecycleEventHookExecutionId"], deployment["applicationName"])
        status, reason = "Succeeded", ""
    except Exception as failure:  # noqa: BLE001 - whatever it was, CodeDeploy must hear of it, or it waits for an hour
        status, reason = "Failed", f"{type(failure).__name__}: {failure}"
    print(json.dumps({"deployment": event["DeploymentId"], "status": status, "reason": reason}))  # noqa: T201 - Lambda's log
    _boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"], lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"], status=status
    )


def _try_out(execution_id: str, released: str) -> None:
    """Ask each service for all that it is for, of CodeDeploy's application `released` its new tasks; raises `CheckFailed`."""
    api = _Api(released, os.environ.get("SERVER_NAME"), _sandbox_key(os.environ["SANDBOX_SECRET_ARN"]))

    def step(path: str, form: Mapping[str, str], status: str) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        made = api.call("POST", path, form, {"Idempotency-Key": f"release-check-{execution_id}-{name}"})
        if made.get("status") != status:
            raise CheckFailed(f"{name}: {made.get('id')} is {made.get('status')}, not {status}")
        return made

    order = {"amount": "100", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true", "description": "Release check"}
    payment = step("/v1/payment_intents", {**order, "capture_method": "manual"}, "requires_capture")
    step(f"/v1/payment_intents/{payment['id']}/capture", {}, "succeeded")
    refund = step("/v1/refunds", {"payment_intent": payment["id"]}, "succeeded")
    if api.call("GET", "/v1/balance").get("object") != "balance":
        raise CheckFailed("there is no balance")
    if api.call("POST", "/v1/notifications/trial", {}).get("delivered") is not True:
        raise CheckFailed("no webhook was delivered")
    # Of one type: whatever else goes on in the sandbox, the newest hundred of them hold this one.
    events = api.call("GET", "/v1/events?type=refund.created&limit=100").get("data", [])
    if not any(event["data"]["object"].get("id") == refund["id"] for event in events):
        raise CheckFailed(f"no event tells of the refund {refund['id']}")


def _sandbox_key(secret_arn: str) -> str:
    secret = _boto3.client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"]
    return os.environ["KEY_PREFIX"] + str(json.loads(secret)[os.environ["KEY_FIELD"]])


class _Api:
    """Calls the API by its load balancer's name; with TLS the certificate must be for `server_name`, the name that customers use."""

    def __init__(self, released: str, server_name: str | None, key: str) -> None:
        self._released, self._server_name = released, server_name
        self._front_door: dict[str, list[str]] = json.loads(os.environ["FRONT_DOOR"])
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "tap-release-check",  # the firewall blocks whoever has none
        }
        if released not in self._front_door:
            self._headers[os.environ["TRIAL_HEADER"]] = "true"

    def _url(self, path: str) -> str:
        """Which listener leads to what is to answer: the first application that has the path, as in the load balancer's rules."""
        answers = next((name for name, patterns in self._front_door.items() if any(fnmatchcase(path, each) for each in patterns)), "")
        return os.environ["TEST_URL" if answers == self._released else "LIVE_URL"]

    def call(
        self, method: str, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the answer; raises `CheckFailed` when it is an error that doesn't go away."""
        problem = ""
        for attempt in range(_ATTEMPTS_MAX):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            try:
                status, body = self._once(method, path, form, headers or {})
            except (OSError, http.client.HTTPException) as failure:
                problem = f"{type(failure).__name__}: {failure}"
                continue
            if status < 400:
                return json.loads(body)
            problem = f"{status} {body[:300].decode(errors='replace')}"
            if status < 500 and status not in (409, 429):
                break
        raise CheckFailed(f"{method} {path.partition('?')[0]}: {problem}")

    def _once(self, method: str, path: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        address = urlsplit(self._url(path.partition("?")[0]))
        tls, host = address.scheme == "https", address.hostname or ""
        port, name = address.port or (443 if tls else 80), self._server_name or host
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
        try:
            raw = socket.create_connection((host, port), _TIMEOUT_SECONDS)
            connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=name) if tls else raw
            connection.request(method, path, urlencode(form) if form is not None else None, {**self._headers, "Host": name, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
