"""Images: ECR tells of one that it lacks, and a task starts from what was pushed there.

A task's image is looked up in the emulated ECR. With an engine it is pulled from there by digest; an image that was never pushed but is
tagged with its full name on the engine starts too. Without an engine a task starts if ECR knows its image.
"""

import importlib
import re
from dataclasses import dataclass
from typing import Any

from rehearsal.emulator import upstream
from rehearsal.emulator.settings import SETTINGS
from rehearsal.emulator.upstream import Answer, Record


class CannotPullContainer(Exception):
    """CannotPullContainerError"""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a private repository of the account."""

    repository: str
    tag: str | None
    digest: str | None


_PRIVATE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z0-9.]+/(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:.+))?")


def parse(image: str) -> Reference | None:
    """Read an image's name; None for one of another registry."""
    match = _PRIVATE.fullmatch(image)
    if match is None:
        return None
    digest = match["digest"]
    return Reference(match["repository"], match["tag"] or (None if digest else "latest"), digest)


def find(reference: Reference) -> Record | None:
    """Return the image's record in the emulated ECR."""
    wanted = {"imageDigest": reference.digest} if reference.digest else {"imageTag": reference.tag}
    return upstream.module("services.ecr")._find_image(reference.repository, wanted)


def startable(image: str, docker: Any) -> str:
    """Return the name under which a container can be made of the image; raises `CannotPullContainer`."""
    reference = parse(image)
    if reference is None:
        return image
    record = find(reference)
    if not upstream.has_engine():
        if record is None:
            raise CannotPullContainer(f"{image}: not found")
        return image
    if record is not None and (pulled := _pull(reference, record, docker)):
        return pulled
    tags = [reference.tag] if reference.tag else list((record or {}).get("imageTags", []))
    for name in (image, *(f"{image.split('/', 1)[0]}/{reference.repository}:{tag}" for tag in tags)):
        if _is_local(name, docker):
            return name
    raise CannotPullContainer(f"{image}: not found")


def _pull(reference: Reference, record: Record, docker: Any) -> str | None:
    name = f"{SETTINGS.registry}/{reference.repository}@{record['imageDigest']}"
    if _is_local(name, docker):
        return name
    try:
        docker.images.pull(f"{SETTINGS.registry}/{reference.repository}@{record['imageDigest']}")
    except docker_errors().APIError:
        # A manifest that was put by the API has no layers behind it.
        return None
    return name


def _is_local(name: str, docker: Any) -> bool:
    try:
        docker.images.get(name)
    except docker_errors().ImageNotFound:
        return False
    return True


def docker_errors() -> Any:
    """Return the engine client's exceptions; it is installed in the emulator's environment only."""
    return importlib.import_module("docker.errors")


def install() -> None:
    """Let DescribeImages fail for an image that isn't there: else the CDK command line believes that it has been published."""
    ecr = upstream.module("services.ecr")
    original: Any = None

    def describe_images(request: Record) -> Answer:
        name = request.get("repositoryName", "")
        if name in ecr._repositories:
            for wanted in request.get("imageIds") or []:
                if ecr._find_image(name, wanted) is None:
                    return upstream.json_error(
                        "ImageNotFoundException",
                        f"The image with imageId {{{_tell(wanted)}}} does not exist within the repository with name '{name}' "
                        f"in the registry with id '{upstream.account()}'",
                    )
        return original(request)

    original = upstream.replace(ecr, "_describe_images", describe_images)


def _tell(wanted: Record) -> str:
    return f"imageDigest:'{wanted.get('imageDigest', 'null')}', imageTag:'{wanted.get('imageTag', 'null')}'"
