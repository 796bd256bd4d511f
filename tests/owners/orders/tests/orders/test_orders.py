"""Orders are kept, cached, listed and invoiced."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient

from app.jobs.kinds import all_kinds
from app.orders.work import INVOICE
from tests.conftest import Statements
from tests.jobs.asked import finished


@pytest.fixture
async def order(client: AsyncClient) -> str:
    """The path of an order of 3."""
    item = (await client.post("/items", json={"name": "tea"})).json()
    made = await client.post("/orders", json={"item_id": item["id"], "amount": 3})
    assert made.status_code == 201
    return made.headers["location"]


async def test_the_second_read_costs_no_statement(
    client: AsyncClient, order: str, count_queries: Statements
) -> None:
    assert (await client.get(order)).json()["amount"] == 3
    count_queries.clear()

    assert (await client.get(order)).json()["amount"] == 3
    assert count_queries == []


async def test_a_new_order_is_on_the_first_page(client: AsyncClient, order: str) -> None:
    assert len((await client.get("/orders")).json()["results"]) == 1
    item = (await client.get(order)).json()["item_id"]
    await client.post("/orders", json={"item_id": item, "amount": 4})

    assert [one["amount"] for one in (await client.get("/orders")).json()["results"]] == [4, 3]


async def test_an_order_has_an_invoice(client: AsyncClient, order: str) -> None:
    item = (await client.get(order)).json()["item_id"]
    made = await client.post("/orders", json={"item_id": item, "amount": 4})

    job = await finished(client, f"/jobs/{made.headers['x-job']}")

    assert job.result == {"amount": 7}
    assert all_kinds()["invoice"] is INVOICE


def test_the_hot_route_is_hot(app: FastAPI) -> None:
    layers = [layer.kwargs.get("routes") for layer in app.user_middleware]

    assert "/orders/{order_id}" in {
        path for routes in layers if isinstance(routes, dict) for path in routes
    }


async def test_an_order_of_nothing_is_refused(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.errors.ProblemError.__doc__", "patched by its address")

    assert (await client.post("/orders", json={"item_id": 9, "amount": 1})).status_code == 422
