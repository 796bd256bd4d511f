"""The example's answers are kept, and no write leaves an old one."""

import pytest
from httpx2 import AsyncClient
from sqlalchemy import update

from app.database import Database
from app.items.cache import POLICIES, stale_tags
from app.items.models import Item, Owner, Tag
from tests.conftest import Statements


@pytest.fixture
async def item(client: AsyncClient) -> str:
    """The path of an item that has an owner and a tag, and whose answers are kept."""
    owner = (await client.post("/owners", json={"name": "Ada"})).json()
    new = {"name": "tea", "owner_id": owner["id"], "tags": ["hot"]}
    path = (await client.post("/items", json=new)).headers["location"]
    await client.get(path)
    await client.get("/items")
    return path


async def test_the_second_answer_costs_no_statement(
    client: AsyncClient, item: str, count_queries: Statements
) -> None:
    assert (await client.get(item)).json()["name"] == "tea"
    assert len((await client.get("/items?limit=20")).json()["results"]) == 1
    count_queries.clear()

    await client.get(item)
    await client.get("/items?limit=20")
    await client.get("/items?limit=20&utm_source=letter")

    assert count_queries == []


@pytest.mark.parametrize(
    ("change", "value"), [("name", "milk"), ("quantity", 7), ("tags", ["cold", "new"])]
)
async def test_a_change_is_seen_at_once(
    client: AsyncClient, item: str, change: str, value: object
) -> None:
    await client.patch(item, json={change: value})

    assert (await client.get(item)).json()[change] == value
    (listed,) = (await client.get("/items")).json()["results"]
    assert listed[change] == value


async def test_only_what_has_changed_is_read_again(
    client: AsyncClient, item: str, count_queries: Statements
) -> None:
    other = (await client.post("/items", json={"name": "milk"})).headers["location"]
    await client.get(other)
    await client.patch(item, json={"quantity": 3})
    count_queries.clear()

    await client.get(other)

    assert count_queries == []


def test_every_row_in_an_answer_makes_it_stale() -> None:
    assert stale_tags(Item(id=7)) == ["items", "item:7"]
    assert stale_tags(Tag(item_id=7)) == ["items", "item:7"]
    assert stale_tags(Owner(id=7)) == ["owners"]
    for policy in POLICIES.values():
        assert {"owners"} < {*policy.tags}


async def test_a_new_item_is_listed_at_once(client: AsyncClient, item: str) -> None:
    await client.post("/items", json={"name": "milk"})

    assert len((await client.get("/items")).json()["results"]) == 2


async def test_a_deleted_item_is_gone_at_once(client: AsyncClient, item: str) -> None:
    await client.delete(item)

    assert (await client.get(item)).status_code == 404
    assert (await client.get("/items")).json()["results"] == []


async def test_a_bulk_statement_makes_everything_stale(
    client: AsyncClient, item: str, state: dict[str, Database]
) -> None:
    async with state["database"].writes.session() as session:
        await session.execute(update(Item).values(name="sold"))

    assert (await client.get(item)).json()["name"] == "sold"


async def test_a_write_that_was_rolled_back_changes_nothing(
    client: AsyncClient, item: str, state: dict[str, Database], count_queries: Statements
) -> None:
    async def fail() -> None:
        async with state["database"].writes.session() as session:
            await session.execute(update(Item).values(name="sold"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    count_queries.clear()

    assert (await client.get(item)).json()["name"] == "tea"
    assert count_queries == []


async def test_an_item_that_is_not_there_is_asked_for_each_time(
    client: AsyncClient, count_queries: Statements
) -> None:
    for _ in range(2):
        assert (await client.get("/items/9")).status_code == 404
    assert len(count_queries) == 2


async def test_the_etag_of_an_answer_names_its_version(client: AsyncClient, item: str) -> None:
    for quantity in (1, 2):
        headers = {"If-Match": (await client.get(item)).headers["etag"]}
        changed = await client.patch(item, json={"quantity": quantity}, headers=headers)
        again = await client.patch(item, json={"quantity": 9}, headers=headers)
        assert (changed.status_code, again.status_code) == (200, 412)
