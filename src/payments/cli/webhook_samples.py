"""`tap samples`: webhook handlers, ready to be put into a file."""

from enum import StrEnum
from importlib.resources import files


class Framework(StrEnum):
    """What there is a handler for."""

    FLASK = "flask"
    DJANGO = "django"
    FASTAPI = "fastapi"
    EXPRESS = "express"


def sample(framework: Framework) -> str:
    """Return the handler."""
    suffix = "js" if framework is Framework.EXPRESS else "py"
    return files("payments.cli").joinpath("samples", f"{framework}.{suffix}.txt").read_text(encoding="utf-8")
