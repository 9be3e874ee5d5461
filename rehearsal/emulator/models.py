"""AWS's service models: ministack reads one for each service that answers, and makes a session of botocore's for each; one will do."""

import importlib
from functools import cache
from typing import Any

from rehearsal.emulator import upstream


def install() -> None:
    """Let all models be read by one session."""
    responses = upstream.module("core.responses")
    errors = importlib.import_module("botocore.exceptions")
    session = importlib.import_module("botocore.session").get_session()

    @cache
    def model(service: str) -> Any:
        try:
            return session.get_service_model(responses._BOTOCORE_NAME.get(service, service))
        except errors.UnknownServiceError:
            return None

    upstream.replace(responses, "_service_model", model)
