"""A container engine that has every image built, and whose push puts the image into ECR: `ENGINE=… tap deploy`."""

import json
import sys


def push(remote: str) -> None:
    import boto3  # noqa: PLC0415 - most of what an engine is asked needs none of it

    repository, _, tag = remote.partition("/")[2].partition(":")
    manifest = {"schemaVersion": 2, "config": {"digest": f"sha256:{repository}-{tag}"}, "layers": []}
    boto3.client("ecr").put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ps", "--quiet"] | ["tag", _, _]:
            pass
        case ["image", "inspect", "--format", "{{.Architecture}}", _]:
            print("amd64")
        case ["push", "--quiet", remote]:
            push(remote)
        case other:
            sys.exit(f"unexpected: {other}")
