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
from payments.runtime.topology import RELEASED_IMAGE_PREFIX, Architecture, Names, Service

_ENGINE_VARIABLE = "ENGINE"
_BUILD_SECONDS_MAX = 3_600
_ENGINE_SECONDS_MAX = 900
_HAS_THE_TAG = ("ImageAlreadyExistsException", "ImageTagAlreadyExistsException")


def current_tag() -> str:
    """Return the commit of the checkout that the command runs in; raises `UsageError` where what is built would not be what is committed."""
    try:
        commit = _output("git", "rev-parse", "--short=12", "HEAD")
        changes = _output("git", "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
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

    def keep(self, service: Service, digest: str) -> None:
        """Give an image that comes into service a tag by which its repository keeps it, however many are pushed after it."""
        repository = self._names.repository(service)
        (image,) = self._aws.ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])["images"]
        media_type = image.get("imageManifestMediaType")
        try:
            self._aws.ecr.put_image(
                repositoryName=repository,
                imageManifest=image.get("imageManifest", ""),
                imageTag=RELEASED_IMAGE_PREFIX + digest.removeprefix("sha256:")[:12],
                **({"imageManifestMediaType": media_type} if media_type else {}),
            )
        except ClientError as failure:
            if error_code(failure) not in _HAS_THE_TAG:
                raise

    def provide(self, services: Sequence[Service], tag: str, architecture: Architecture) -> None:
        """Have a tag in the repositories; raises `UsageError` where it is neither there nor to be had here for these processors."""
        if missing := self.missing(services, tag):
            self.check(missing, tag, architecture)
            self.build(tag, architecture)
            self.push(missing, tag)

    def missing(self, services: Sequence[Service], tag: str) -> list[Service]:
        """Return the services whose repositories lack a tag."""
        return [service for service in services if self.digest(service, tag) is None]

    def check(self, services: Sequence[Service], tag: str, architecture: Architecture) -> None:
        """Raise `UsageError` unless a tag can be had here: of the commit that is checked out, or of images that somebody made under another name,
        for the processors that are to run them."""
        _run(self._engine, "ps", "--quiet")
        if _is_checked_out(tag):
            return
        made_for = {_made_for(self._engine, service, tag) for service in services}
        if None in made_for:
            raise UsageError(
                f"There is no image {tag}: it isn't in the repositories, it isn't {local_image(services[0], tag)} here, and it isn't the commit "
                "of a clean checkout. Give --image TAG of one that there is, or check its commit out."
            )
        if wrong := made_for - {architecture.image}:
            raise UsageError(
                f"{local_image(services[0], tag)} is made for {', '.join(sorted(map(str, wrong)))}, and the tasks run on {architecture}: make it with "
                f"`make images TAG={tag} PLATFORM=linux/{architecture.image}`."
            )

    def build(self, tag: str, architecture: Architecture) -> None:
        """Build a tag when it is the commit that is checked out: whatever else has its name here may be made of something else."""
        if not _is_checked_out(tag):
            return
        self._console.print(f"Building the images of {tag} …")
        try:
            done = subprocess.run(
                ["make", "images", f"TAG={tag}", f"PLATFORM=linux/{architecture.image}"], timeout=_BUILD_SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            raise UsageError(f"The images weren't built within {_BUILD_SECONDS_MAX / 60:.0f} minutes: see above.") from None
        if done.returncode:
            raise UsageError("The images can't be built: see above.")

    def push(self, services: Sequence[Service], tag: str) -> None:
        """Bring a tag from here into the repositories."""
        registry = self._login()
        for service in services:
            remote = f"{registry}/{self._names.repository(service)}:{tag}"
            self._console.print(f"Pushing {self._names.repository(service)}:{tag} …")
            _run(self._engine, "tag", local_image(service, tag), remote)
            _run(self._engine, "push", "--quiet", remote)

    @property
    def _engine(self) -> str:
        return os.environ.get(_ENGINE_VARIABLE, "docker")

    def _login(self) -> str:
        """Log the engine in, and return the registry. Where AWS's endpoint is replaced (`AWS_ENDPOINT_URL`), the registry is there as well."""
        (grant,) = self._aws.ecr.get_authorization_token()["authorizationData"]
        replaced = os.environ.get("AWS_ENDPOINT_URL_ECR") or os.environ.get("AWS_ENDPOINT_URL")
        if replaced:
            return urlsplit(replaced).netloc
        registry = urlsplit(grant.get("proxyEndpoint", "")).netloc
        user, _, password = base64.b64decode(grant.get("authorizationToken", "")).decode().partition(":")
        _run(self._engine, "login", "--username", user, "--password-stdin", registry, given=password)
        return registry


def local_image(service: Service, tag: str) -> str:
    """Return what `make images` calls an image."""
    return f"tap/{service}:{tag}"


def _is_checked_out(tag: str) -> bool:
    """Tell whether a tag is the commit of a checkout without changes: then what is built is what the tag says."""
    try:
        return Path("Dockerfile").exists() and current_tag() == tag
    except UsageError:
        return False


def _made_for(engine: str, service: Service, tag: str) -> str | None:
    """Return the processors that an image here is made for, as engines call them; None: there is no such image."""
    done = _ask(engine, "image", "inspect", "--format", "{{.Architecture}}", local_image(service, tag))
    return done.stdout.strip() if done.returncode == 0 else None


def _run(engine: str, *arguments: str, given: str | None = None) -> None:
    """Run the engine; raises `UsageError` with its last line."""
    done = _ask(engine, *arguments, given=given)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UsageError(f"{engine} {arguments[0]}: {lines[-1] if lines else 'failed'}")


def _ask(engine: str, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run([engine, *arguments], input=given, capture_output=True, text=True, timeout=_ENGINE_SECONDS_MAX, check=False)
    except FileNotFoundError:
        raise UsageError(
            f"{engine} isn't installed, and the image has to be pushed: install it, or name another engine by ENGINE=podman."
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"{engine} {arguments[0]} didn't end within {_ENGINE_SECONDS_MAX / 60:.0f} minutes.") from None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
