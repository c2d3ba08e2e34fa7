"""What an image's name means on this node."""

from __future__ import annotations

import pytest

from agent.runtime.images import Progress, digest_of, pull_request

SHOWN = {"Id": "sha256:id", "RepoDigests": ["nginx@sha256:hub", "reg:5000/nginx@sha256:own"]}


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        ("nginx:1.27", "sha256:hub"),
        ("reg:5000/nginx", "sha256:own"),
        ("reg:5000/nginx:1@sha256:own", "sha256:own"),
        ("docker.io/library/nginx", "sha256:hub"),
    ],
)
def test_a_digest_is_that_of_the_images_own_repository(image: str, digest: str) -> None:
    assert digest_of(image, SHOWN) == digest


def test_an_image_of_no_repository_has_its_own_id() -> None:
    assert digest_of("demo:1", {"Id": "sha256:id", "RepoDigests": None}) == "sha256:id"


@pytest.mark.parametrize(
    ("image", "asked"),
    [
        ("nginx", "nginx:latest"),
        ("reg:5000/nginx", "reg:5000/nginx:latest"),
        ("reg:5000/nginx:1", "reg:5000/nginx:1"),
        ("nginx@sha256:own", "nginx@sha256:own"),
    ],
)
def test_one_image_is_pulled_and_never_all_of_a_repository(image: str, asked: str) -> None:
    assert pull_request(image, "") == {"fromImage": asked}
    assert pull_request(image, "linux/arm64") == {"fromImage": asked, "platform": "linux/arm64"}


def layer(status: str, current: int = 0) -> dict[str, object]:
    return {
        "id": "4f4f",
        "status": status,
        "progressDetail": {"current": current, "total": 9} if current else {},
    }


def test_a_pull_gets_on_while_bytes_and_stages_are_new() -> None:
    progress = Progress()
    new = [{"status": "Pulling from web", "id": "1"}, layer("Downloading", 1), layer("Downloading", 2)]
    assert all(progress.made(line) for line in [*new, layer("Verifying Checksum"), layer("Extracting", 1)])


def test_a_pull_that_only_begins_again_does_not_get_on() -> None:
    progress = Progress()
    assert progress.made(layer("Downloading", 2))
    again = [layer("Retrying in 5 seconds"), layer("Retrying in 4 seconds"), layer("Downloading", 1)]
    assert not any(progress.made(line) for line in [*again, layer("Downloading", 2)])
    assert progress.made(layer("Downloading", 3))
