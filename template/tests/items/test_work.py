"""The report over all items."""

import pytest
from httpx2 import AsyncClient

from app.items import work
from tests.jobs.asked import finished

pytestmark = pytest.mark.usefixtures("anybody_may_ask")


async def test_the_report_goes_through_all_items(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "ROWS", 2)
    owner = (await client.post("/owners", json={"name": "Ada"})).json()
    for quantity in (1, 5, 6, 7, 8):
        new = {"name": "tea", "quantity": quantity}
        await client.post("/items", json=new | ({"owner_id": owner["id"]} if quantity == 8 else {}))

    asked = await client.post("/jobs", json={"kind": "item-report", "arguments": {"minimum": 5}})
    job = await finished(client, asked.headers["location"])

    assert job.result == {"items": 4, "quantity": 26, "without_owner": 3}


async def test_its_arguments_are_checked(client: AsyncClient) -> None:
    wrong = {"kind": "item-report", "arguments": {"minimum": -1}}

    assert (await client.post("/jobs", json=wrong)).status_code == 422
