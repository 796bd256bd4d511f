"""The wiring."""

import gc
from collections.abc import Iterator

import pytest
from httpx2 import AsyncClient


@pytest.fixture(autouse=True)
def _restore_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


async def test_what_start_up_made_is_not_collected_again_and_again(client: AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200

    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] == 10_000
