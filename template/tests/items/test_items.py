"""The endpoints of the example, over HTTP."""

import asyncio
import json
from base64 import urlsafe_b64encode

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from httpx2 import AsyncClient

from app.etags import etag_of

Entry = dict[str, object]


async def create(client: AsyncClient, name: str, **more: object) -> Entry:
    response = await client.post("/items", json={"name": name, **more})
    assert response.status_code == 201
    created: Entry = response.json()
    return created


async def test_an_item_can_be_created_and_read(client: AsyncClient) -> None:
    owner = (await client.post("/owners", json={"name": "Ann"})).json()
    new = {
        "name": "tea 🍵",
        "quantity": 3,
        "owner_id": owner["id"],
        "tags": ["hot", "green", "hot"],
    }

    response = await client.post("/items", json=new)

    assert response.status_code == 201
    item = response.json()
    assert item.keys() == {"id", "name", "quantity", "owner", "tags", "created_at"}
    assert (item["name"], item["quantity"]) == ("tea 🍵", 3)
    assert item["owner"] == {"id": owner["id"], "name": "Ann"}
    assert item["tags"] == ["green", "hot"]
    assert (await client.get(response.headers["location"])).json() == item
    assert (await client.get("/items")).json()["results"] == [item]


async def test_an_item_needs_no_owner_but_a_real_one(client: AsyncClient) -> None:
    assert (await create(client, "tea"))["owner"] is None

    response = await client.post("/items", json={"name": "tea", "owner_id": 7})

    assert response.status_code == 422
    assert response.json()["detail"] == "There is no owner 7."


async def test_a_patch_changes_what_was_sent_and_nothing_else(client: AsyncClient) -> None:
    item = await create(client, "tea", quantity=3, tags=["hot", "green"])
    path = f"/items/{item['id']}"

    changes: list[Entry] = [
        {"quantity": 5},
        {"tags": ["hot", "red"]},
        {"tags": []},
        {"name": "milk"},
        {},
    ]
    for change in changes:
        response = await client.patch(path, json=change)

        item |= change
        assert response.json() == item
        assert (await client.get(path)).json() == item


async def test_a_deleted_item_is_gone(client: AsyncClient) -> None:
    path = f"/items/{(await create(client, 'tea', tags=['hot']))['id']}"

    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    assert (await client.delete(path)).status_code == 404
    assert (await client.patch(path, json={})).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a" * 201},
        {"name": None},
        {"name": "a", "quantity": -1},
        {"name": "a", "quantity": True},
        {"name": "a", "quantty": 1},
        {"name": "a\x00"},
        {"name": "a", "owner_id": 2**63},
        {"name": "a", "tags": ["No Good"]},
        {"name": "a", "tags": [""]},
        {"name": "a", "tags": ["a"] * 21},
    ],
)
async def test_an_invalid_item_is_refused(client: AsyncClient, body: Entry) -> None:
    assert (await client.post("/items", json=body)).status_code == 422


@pytest.mark.parametrize("body", [{"name": None}, {"name": ""}, {"quantty": 1}])
async def test_an_invalid_change_is_refused(client: AsyncClient, body: Entry) -> None:
    item = await create(client, "tea")

    assert (await client.patch(f"/items/{item['id']}", json=body)).status_code == 422


@pytest.mark.parametrize("item_id", ["0", "-1", "x", str(2**63)])
async def test_an_impossible_id_is_refused(client: AsyncClient, item_id: str) -> None:
    assert (await client.get(f"/items/{item_id}")).status_code == 422


class TestList:
    async def test_walking_the_pages_meets_every_item_once(self, client: AsyncClient) -> None:
        expected = [(await create(client, f"item {number}"))["id"] for number in range(25)]

        met: list[object] = []
        cursor: str | None = None
        while True:
            query = {"limit": "10"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/items", params=query)).json()
            met += [item["id"] for item in page["results"]]
            await create(client, "inserted while the list is walked")
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert met == expected[::-1]

    async def test_an_empty_list_is_a_page(self, client: AsyncClient) -> None:
        assert (await client.get("/items")).json() == {"results": [], "next_cursor": None}

    @pytest.mark.parametrize("limit", ["0", "-1", "101", "x"])
    async def test_the_size_of_a_page_is_bounded(self, client: AsyncClient, limit: str) -> None:
        assert (await client.get(f"/items?limit={limit}")).status_code == 422

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "[]",
            '["2026-01-01T00:00:00", 1]',
            '["0001-01-01T00:00:00+14:00", 1]',
            f'["2026-01-01T00:00:00Z", {2**63}]',
        ],
    )
    async def test_a_forged_cursor_is_refused(self, client: AsyncClient, content: str) -> None:
        cursor = urlsafe_b64encode(content.encode()).decode()

        response = await client.get("/items", params={"cursor": cursor})

        assert response.status_code == 422


@pytest.mark.parametrize("rows", [1, 50])
async def test_a_list_takes_as_many_queries_for_any_number_of_rows(
    client: AsyncClient, count_queries: list[str], rows: int
) -> None:
    for _ in range(rows):
        await create(client, "tea", tags=["hot"])
    count_queries.clear()

    assert len((await client.get("/items?limit=100")).json()["results"]) == rows

    assert len(count_queries) == 2


async def test_an_export_has_every_item(client: AsyncClient) -> None:
    items = [await create(client, f"item {number}", tags=["hot"]) for number in range(3)]

    response = await client.get("/items.jsonl")

    assert [json.loads(line) for line in response.text.splitlines()] == items


async def test_the_stats_are_those_of_the_items(client: AsyncClient) -> None:
    owner = (await client.post("/owners", json={"name": "Ann"})).json()
    await create(client, "tea", quantity=3, owner_id=owner["id"], tags=["hot"])
    await create(client, "milk", quantity=2)

    assert (await client.get("/item-stats")).json() == {
        "items": 2,
        "quantity": 5,
        "owners": [{"owner": "Ann", "quantity": 3}],
        "tags": [{"tag": "hot", "items": 1}],
    }


class TestOwners:
    async def test_pages_have_numbers(self, client: AsyncClient) -> None:
        for name in ("Cid", "Ann", "Bob"):
            assert (await client.post("/owners", json={"name": name})).status_code == 201

        first = (await client.get("/owners?size=2")).json()
        second = (await client.get("/owners?size=2&page=2")).json()

        assert [owner["name"] for owner in first["results"]] == ["Ann", "Bob"]
        assert [owner["name"] for owner in second["results"]] == ["Cid"]
        assert (first["has_next"], second["has_next"]) == (True, False)

    @pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "Ann", "nme": "Bob"}])
    async def test_an_invalid_owner_is_refused(self, client: AsyncClient, body: Entry) -> None:
        assert (await client.post("/owners", json=body)).status_code == 422

    @pytest.mark.parametrize("query", ["page=0", "page=1001", "size=0", "size=101", "page=x"])
    async def test_pages_are_bounded(self, client: AsyncClient, query: str) -> None:
        assert (await client.get(f"/owners?{query}")).status_code == 422


async def test_a_hot_route_is_the_route(app: FastAPI) -> None:
    served = {
        context.path: context.endpoint
        for context in iter_route_contexts(app.routes)
        if "GET" in (context.methods or ())
    }
    routes = [more.kwargs.get("routes") for more in app.user_middleware]
    hot = [layer for layer in routes if isinstance(layer, dict)]

    assert "/items/{item_id}" in {path for layer in hot for path in layer}
    for layer in hot:
        for path, endpoint in layer.items():
            assert served[path] is endpoint


async def test_of_two_changes_of_one_version_the_second_is_refused(client: AsyncClient) -> None:
    path = f"/items/{(await create(client, 'tea'))['id']}"
    read = {"If-Match": etag_of((await client.get(path)).content).decode()}

    first, second = await asyncio.gather(
        *(client.patch(path, json={"quantity": n}, headers=read) for n in (7, 8))
    )

    assert sorted([first.status_code, second.status_code]) == [200, 412]
    assert (await client.delete(path, headers=read)).status_code == 412
    assert (await client.get(path)).json()["quantity"] == (7 if first.is_success else 8)


async def test_changes_at_once_are_one_after_the_other(client: AsyncClient) -> None:
    path = f"/items/{(await create(client, 'tea'))['id']}"

    responses = await asyncio.gather(
        *(client.patch(path, json={"tags": ["hot", f"tag-{n % 3}"]}) for n in range(12))
    )

    assert {response.status_code for response in responses} == {200}
    assert (await client.get(path)).json()["tags"] in [["hot", f"tag-{n}"] for n in range(3)]
