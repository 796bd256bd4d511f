"""The endpoints of the example, over HTTP."""

from base64 import urlsafe_b64encode

import pytest
from httpx2 import AsyncClient

Entry = dict[str, object]


async def create(client: AsyncClient, name: str, quantity: int = 0) -> Entry:
    response = await client.post("/items", json={"name": name, "quantity": quantity})
    assert response.status_code == 201
    created: Entry = response.json()
    return created


async def test_an_item_can_be_created_and_read(client: AsyncClient) -> None:
    response = await client.post("/items", json={"name": "tea 🍵", "quantity": 3})

    assert response.status_code == 201
    item = response.json()
    assert item.keys() == {"id", "name", "quantity", "created_at"}
    assert (item["name"], item["quantity"]) == ("tea 🍵", 3)
    assert (await client.get(response.headers["location"])).json() == item


async def test_a_patch_changes_what_was_sent_and_nothing_else(client: AsyncClient) -> None:
    item = await create(client, "tea", 3)
    path = f"/items/{item['id']}"

    response = await client.patch(path, json={"quantity": 5})

    assert response.json() == item | {"quantity": 5}
    assert (await client.get(path)).json() == item | {"quantity": 5}


async def test_a_deleted_item_is_gone(client: AsyncClient) -> None:
    path = f"/items/{(await create(client, 'tea'))['id']}"

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
