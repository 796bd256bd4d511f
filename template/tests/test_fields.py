"""What a database would choke on is refused before it gets there."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel

from app.fields import MAX_ID, Id, Text


class Note(BaseModel):
    text: Text
    about: Id


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.put("/notes/{note_id}")
    async def put_note(note_id: Id, note: Note) -> Note:
        return note

    return app


@pytest.mark.parametrize("number", [1, MAX_ID])
async def test_ids_a_key_can_have_are_taken(client: AsyncClient, number: int) -> None:
    note = {"text": "\n \U0001f375", "about": number}

    assert (await client.put(f"/notes/{number}", json=note)).json() == note


@pytest.mark.parametrize("number", [-1, 0, MAX_ID + 1])
async def test_no_others_are(client: AsyncClient, number: int) -> None:
    for path, about in [(number, 1), (1, number)]:
        answer = await client.put(f"/notes/{path}", json={"text": "tea", "about": about})
        assert answer.status_code == 422


@pytest.mark.parametrize("text", ["\0", "tea\0", "\n\0"])
async def test_a_text_with_a_nul_is_refused(client: AsyncClient, text: str) -> None:
    assert (await client.put("/notes/1", json={"text": text, "about": 1})).status_code == 422
