"""What an image's name means on this node."""

from __future__ import annotations

import pytest

from agent.runtime.images import digest_of

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
