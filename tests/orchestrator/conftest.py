"""What tests of the orchestrator share."""

from collections.abc import Iterator

import pytest

from tests.orchestrator.ray_head import RayHead, started_head


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    """The one cluster of the tests that join a cluster."""
    with started_head() as head:
        yield head
