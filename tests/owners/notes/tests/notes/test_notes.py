"""Notes are kept, and short."""

from importlib import import_module

import pytest
from httpx2 import AsyncClient


async def test_a_note_is_kept(client: AsyncClient) -> None:
    made = (await client.post("/notes", json={"text": "tea"})).json()

    assert (await client.get(f"/notes/{made['id']}")).json()["text"] == "tea"
    assert (await client.get("/notes/99")).status_code == 404


async def test_a_long_note_is_refused(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.notes.routes.LIMIT", 3)

    assert (await client.post("/notes", json={"text": "long"})).status_code == 422


def test_the_number_of_pages_is_rounded_up() -> None:
    assert import_module("app.pagination").pages_of(21, 10) == 3
