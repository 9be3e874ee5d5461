"""How an emulated AWS is reached: what AWS's tools are told in their environment, and whether it answers."""

import urllib.request
from collections.abc import Mapping

ACCOUNT = "000000000000"
REGION = "us-east-1"
_ANSWER_SECONDS_MAX = 5


def emulator_environment(url: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what makes AWS's tools speak to the emulator and to nothing else, whatever they inherit."""
    return {name: value for name, value in inherited.items() if not name.startswith("AWS_")} | {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "emulated",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def answers(url: str) -> bool:
    """Ask the emulator whether it is well."""
    try:
        with urllib.request.urlopen(f"{url}/_ministack/health", timeout=_ANSWER_SECONDS_MAX) as answer:  # noqa: S310 - our own, on loopback
            return answer.status == 200
    except OSError:
        return False
