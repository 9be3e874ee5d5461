"""Images: which one a tag means, and how it gets into the environment's repositories."""

import base64
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from rich.console import Console

from payments.cli.aws.clients import Aws, error_code
from payments.cli.data_directory import UsageError
from payments.runtime.topology import Names, Service

_ENGINE_VARIABLE = "ENGINE"
_BUILD_SECONDS_MAX = 3_600
_ENGINE_SECONDS_MAX = 900


def current_tag() -> str:
    """Return the commit of the checkout that the command runs in; raises `UsageError` where what is built would not be what is committed."""
    try:
        commit = _output("git", "rev-parse", "--short=12", "HEAD")
        changes = _output("git", "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        raise UsageError("This isn't a git checkout: say which image you mean with --image TAG.") from None
    if changes:
        raise UsageError("There are uncommitted changes, so the commit doesn't name the image: commit them, or give --image TAG.")
    return commit


class Images:
    """The images of an environment."""

    def __init__(self, aws: Aws, names: Names, console: Console) -> None:
        """Nothing is looked up yet."""
        self._aws = aws
        self._names = names
        self._console = console

    def digest(self, service: Service, tag: str) -> str | None:
        """Return the digest that a tag means in the repository; None when it isn't there. Raises `UsageError` without a repository."""
        repository = self._names.repository(service)
        try:
            found = self._aws.ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"]
        except ClientError as failure:
            match error_code(failure):
                case "ImageNotFoundException":
                    return None
                case "RepositoryNotFoundException":
                    raise UsageError(
                        f"There is no repository {repository}. Deploy first: tap deploy --environment {self._names.environment}"
                    ) from None
                case _:
                    raise
        return found[0].get("imageDigest") if found else None

    def reference(self, service: Service, digest: str) -> str:
        """Return the image by its digest, as a task definition names it."""
        found = self._aws.ecr.describe_repositories(repositoryNames=[self._names.repository(service)])["repositories"]
        return f"{found[0].get('repositoryUri')}@{digest}"

    def provide(self, services: Sequence[Service], tag: str) -> None:
        """Have a tag in the repositories: what isn't there is built, unless it was built here before, and pushed."""
        missing = [service for service in services if self.digest(service, tag) is None]
        if not missing:
            return
        engine = os.environ.get(_ENGINE_VARIABLE, "docker")
        if any(not _is_built(engine, service, tag) for service in missing):
            self._build(tag)
        registry = self._login(engine)
        for service in missing:
            remote = f"{registry}/{self._names.repository(service)}:{tag}"
            self._console.print(f"Pushing {self._names.repository(service)}:{tag} …")
            _run(engine, "tag", local_image(service, tag), remote)
            _run(engine, "push", "--quiet", remote)

    def _build(self, tag: str) -> None:
        self._console.print(f"Building the images of {tag} …")
        if not Path("Dockerfile").exists():
            raise UsageError(
                f"The images of {tag} are neither in the repositories nor built here. Run this in Tap's checkout, to build them."
            )
        done = subprocess.run(["make", "images", f"TAG={tag}"], timeout=_BUILD_SECONDS_MAX, check=False)
        if done.returncode:
            raise UsageError("The images can't be built: see above.")

    def _login(self, engine: str) -> str:
        """Log the engine in, and return the registry. Where AWS's endpoint is replaced (`AWS_ENDPOINT_URL`), the registry is there as well."""
        (grant,) = self._aws.ecr.get_authorization_token()["authorizationData"]
        replaced = os.environ.get("AWS_ENDPOINT_URL_ECR") or os.environ.get("AWS_ENDPOINT_URL")
        if replaced:
            return urlsplit(replaced).netloc
        registry = urlsplit(grant.get("proxyEndpoint", "")).netloc
        user, _, password = base64.b64decode(grant.get("authorizationToken", "")).decode().partition(":")
        _run(engine, "login", "--username", user, "--password-stdin", registry, given=password)
        return registry


def local_image(service: Service, tag: str) -> str:
    """Return what `make images` calls an image."""
    return f"tap/{service}:{tag}"


def _is_built(engine: str, service: Service, tag: str) -> bool:
    try:
        done = subprocess.run(
            [engine, "image", "inspect", local_image(service, tag)], capture_output=True, timeout=_ENGINE_SECONDS_MAX, check=False
        )
    except FileNotFoundError:
        raise UsageError(
            f"{engine} isn't installed, and the image has to be pushed: install it, or name another engine by ENGINE=podman."
        ) from None
    return done.returncode == 0


def _run(engine: str, *arguments: str, given: str | None = None) -> None:
    """Run the engine; raises `UsageError` with its last line."""
    done = subprocess.run([engine, *arguments], input=given, capture_output=True, text=True, timeout=_ENGINE_SECONDS_MAX, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UsageError(f"{engine} {arguments[0]}: {lines[-1] if lines else 'failed'}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
