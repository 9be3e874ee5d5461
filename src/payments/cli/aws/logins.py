"""`tap logins rotate`: new passwords for the services' logins to the database, while everything runs.

The database takes a new password a while after it stands in the secret. Meanwhile, and ever after, a process that is refused tries what the secret has
now and what it had before: so nothing is restarted, and sessions that are open live on.
"""

import secrets
import string
from collections.abc import Sequence

from rich.console import Console

from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.aws.storage_tasks import StorageTasks
from payments.runtime.topology import SERVICES, Service

_CHARACTERS = string.ascii_letters + string.digits
"""No punctuation, as Secrets Manager makes the first ones: it would have to be quoted in a URL."""
_LENGTH = 40
_TASK = "logins"


def rotate_logins(console: Console, deployed: DeployedEnvironment, services: Sequence[Service], poll_seconds: float) -> None:
    """Give each service's login a password that nobody knows yet; raises `UsageError`, and can be run again whatever happened."""
    tasks = StorageTasks.of(deployed, poll_seconds)
    # What the database has must be in the secrets when these change: they remember one version before the current one, and an earlier run may have been cut short.
    tasks.run(_TASK)
    for service in services:
        deployed.replace_secret(SERVICES[service].login_password_variable, "".join(secrets.choice(_CHARACTERS) for _ in range(_LENGTH)))
    tasks.run(_TASK)
    for service in services:
        console.print(f"{SERVICES[service].database_login} has a new password.", soft_wrap=True)
    console.print("Nothing has to be restarted: each task reads it when it opens its next connection.", soft_wrap=True)
