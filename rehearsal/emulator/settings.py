"""What the emulator's environment variables say."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Read once, at the start."""

    gateway_port: int
    """Where AWS's APIs are served."""
    seconds_per_minute: float
    """How long a minute of waiting takes: canary steps, draining, checks of health."""
    kept_seconds_per_minute: float
    """How long a minute takes for which a deployment keeps the original tasks."""
    limit_seconds_per_minute: float
    """How long a minute of a time limit takes: what is waited for is as quick as the machine, however short the waits are."""
    listen: bool
    """Load balancers listen on their listeners' own ports, and their names resolve: for a container of its own."""
    registry: str
    """Where the engine finds the emulated ECR: it pulls from there what was pushed."""
    database_certificate: Path | None
    database_key: Path | None
    """What the emulated databases identify themselves with; without them by a certificate that ministack makes up."""
    health_interval_seconds_min: float
    """Target groups are checked as often as their interval says, in scaled time, but not more often than this."""

    def scaled(self, minutes: float) -> float:
        """Return how many seconds a wait of `minutes` takes here."""
        return minutes * self.seconds_per_minute

    def limit(self, minutes: float) -> float:
        """Return after how many seconds a time limit of `minutes` is over here."""
        return minutes * self.limit_seconds_per_minute


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def read_settings() -> Settings:
    """Read the environment."""
    port = int(os.environ.get("GATEWAY_PORT", "4566"))
    seconds_per_minute = os.environ.get("TAP_EMULATOR_SECONDS_PER_MINUTE", "1")
    return Settings(
        gateway_port=port,
        seconds_per_minute=float(seconds_per_minute),
        kept_seconds_per_minute=float(os.environ.get("TAP_EMULATOR_KEPT_SECONDS_PER_MINUTE", seconds_per_minute)),
        limit_seconds_per_minute=float(os.environ.get("TAP_EMULATOR_LIMIT_SECONDS_PER_MINUTE", seconds_per_minute)),
        listen=os.environ.get("TAP_EMULATOR_LISTEN", "") == "1",
        registry=os.environ.get("TAP_EMULATOR_REGISTRY", f"localhost:{port}"),
        database_certificate=_path("TAP_EMULATOR_DATABASE_CERTIFICATE"),
        database_key=_path("TAP_EMULATOR_DATABASE_KEY"),
        health_interval_seconds_min=float(os.environ.get("TAP_EMULATOR_HEALTH_SECONDS_MIN", "1")),
    )


SETTINGS = read_settings()
"""The emulator is one process with one environment; ministack reads it when imported, and so do we."""
