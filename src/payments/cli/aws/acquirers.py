"""`tap acquirers set` on AWS: the configuration and the secrets go to Secrets Manager, from where tasks are given them when they start."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console

from payments.acquirers.configuration import ConfigurationError, parse, text_of
from payments.cli.aws.environment import DeployedEnvironment
from payments.cli.data_directory import UsageError
from payments.runtime.topology import ACQUIRER_SECRETS_VARIABLE, ACQUIRERS_TOML_VARIABLE, KNOWS_ACQUIRERS, Service


def set_acquirers(console: Console, deployed: DeployedEnvironment, file: Path, variables: Mapping[str, str]) -> None:
    """Keep what is in `file`, and the secrets that it names, for the next tasks; raises `UsageError`, and then has changed nothing."""
    try:
        # Once: what is checked is what is kept, though the file be changed meanwhile.
        text = text_of(file)
        configuration = parse(text, str(file), str(file.resolve().parent))
        configuration.check_elsewhere()
        secrets = {name: secret.decode() for name, secret in configuration.secrets(variables).items()}
    except ConfigurationError as mistake:
        raise UsageError(str(mistake)) from None
    family = deployed.names.task_family(Service.TRANSACTION_PROCESSOR)
    # Whoever starts meanwhile finds a secret for whatever the configuration names, before and after.
    before = msgspec.json.decode(deployed.injected_secret(ACQUIRER_SECRETS_VARIABLE, family), type=dict[str, str])
    deployed.replace_secret(ACQUIRER_SECRETS_VARIABLE, _text({**before, **secrets}), family)
    deployed.replace_secret(ACQUIRERS_TOML_VARIABLE, text, family)
    if before.keys() - secrets.keys():
        deployed.replace_secret(ACQUIRER_SECRETS_VARIABLE, _text(secrets), family)
    environment = deployed.names.environment
    console.print(f"{environment} has {len(configuration.acquirers)} acquirers. Release what knows of them, so that all tasks are new:")
    for service in sorted(service for service, fields in KNOWS_ACQUIRERS.items() if fields):
        console.print(f"  tap release {service} --environment {environment} --image TAG")


def _text(secrets: Mapping[str, str]) -> str:
    return msgspec.json.encode(secrets, order="sorted").decode()
