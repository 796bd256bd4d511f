"""Offers of suppliers, which are real servers here."""

import asyncio
import json
from typing import Any

import pytest
from httpx2 import AsyncClient

from app.database import Database, DatabaseSettings
from tests.items.test_items import create
from tests.upstreams import Others


@pytest.fixture
def settings(settings: DatabaseSettings, others: Others) -> DatabaseSettings:
    return settings


@pytest.fixture
async def path(client: AsyncClient, others: Others) -> str:
    """The path of an item's offers."""
    for name, price in [("north", "2.50"), ("south", "1.99"), ("west", "3.00")]:
        others[name].body = json.dumps({"price": price}).encode()
    return f"/items/{(await create(client, 'tea'))['id']}/offers"


async def test_the_best_comes_first(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).json() == [
        {"supplier": "south", "price": "1.99"},
        {"supplier": "north", "price": "2.50"},
        {"supplier": "west", "price": "3.00"},
    ]


async def test_a_supplier_that_does_not_have_it_makes_none(
    client: AsyncClient, others: Others, path: str
) -> None:
    others["south"].statuses = [404]

    offers = (await client.get(path)).json()

    assert [offer["supplier"] for offer in offers] == ["north", "west"]


async def test_a_supplier_that_fails_is_a_502(
    client: AsyncClient, others: Others, path: str
) -> None:
    others["south"].body = b"<html>"

    response = await client.get(path)

    assert response.status_code == 502
    assert response.json()["detail"] == "The service south gave a bad answer."


async def test_nobody_is_asked_about_an_item_that_is_not_there(
    client: AsyncClient, others: Others
) -> None:
    assert (await client.get("/items/7/offers")).status_code == 404
    assert not any(upstream.requests for upstream in others.values())


async def test_no_connection_of_the_database_is_held_meanwhile(
    client: AsyncClient, others: Others, path: str, state: dict[str, Any]
) -> None:
    others["west"].may_answer.clear()
    database: Database = state["database"]
    asking = asyncio.create_task(client.get(path))
    await others["west"].until(lambda it: bool(it.requests))

    assert database.reads.gate.free == database.reads.gate.size
    assert database.writes.gate.free == database.writes.gate.size
    others["west"].may_answer.set()
    assert (await asking).status_code == 200
