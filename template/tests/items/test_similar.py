"""Items with a similar name."""

import pytest
from httpx2 import AsyncClient

from tests.items.test_items import create


@pytest.fixture
def processes_when_needed() -> None:
    """They are there from the start."""


async def test_the_most_similar_come_first(client: AsyncClient) -> None:
    names = ["green tea", "Green  Tea", "coffee", "gren tea"]
    ids = [(await create(client, name))["id"] for name in names]

    response = await client.get(f"/items/{ids[0]}/similar")

    assert [item["name"] for item in response.json()] == ["Green  Tea", "gren tea", "coffee"]
    assert response.json()[0]["id"] == ids[1]
    assert 1 > response.json()[0]["similarity"] > response.json()[2]["similarity"] > 0
    assert "computing;dur=" in response.headers["server-timing"]


async def test_an_item_that_is_not_there_has_none(client: AsyncClient) -> None:
    assert (await client.get("/items/7/similar")).status_code == 404
