"""Streams: a batch in memory, errors while there is still a status to send."""

import asyncio
import json
from collections.abc import AsyncGenerator
from weakref import ref

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Message

from app import streaming
from app.errors import ProblemError
from app.streaming import BATCH_BYTES, STALLED, JSONLines, _lines, json_lines
from tests.waiting import HANG


class Line(BaseModel):
    model_config = ConfigDict(validate_by_name=True)

    number: int = Field(alias="theNumber")
    text: str = "a\nb 🍵"


async def batches(count: int) -> AsyncGenerator[list[Line], int]:
    if count < 0:
        raise ProblemError(503, "The service is busy.")
    for number in range(count):
        yield [Line(number=number * 2), Line(number=number * 2 + 1)]


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.get("/lines/{count}", response_class=JSONLines, responses=JSONLines.of(Line))
    async def lines(count: int) -> JSONLines:
        return await json_lines(batches(count))

    return app


@pytest.mark.parametrize("count", [0, 1, 50])
async def test_each_line_is_a_row(client: AsyncClient, count: int) -> None:
    response = await client.get(f"/lines/{count}")

    assert response.headers["content-type"] == "application/jsonl"
    rows = [json.loads(line) for line in response.text.splitlines()]
    assert [row["theNumber"] for row in rows] == list(range(count * 2))
    assert all(row["text"] == "a\nb 🍵" for row in rows)


async def test_an_error_before_the_first_row_is_an_answer(client: AsyncClient) -> None:
    assert (await client.get("/lines/-1")).status_code == 503


async def test_batches_are_as_large_in_bytes_as_they_should_be() -> None:
    wanted: list[int] = []

    line = _lines([Line(number=1, text="a" * 10_000)])

    async def of_large_rows() -> AsyncGenerator[list[Line], int]:
        for _ in range(3):
            wanted.append((yield [Line(number=1, text="a" * 10_000)] * 10))

    async for _ in (await json_lines(of_large_rows())).body_iterator:
        pass

    assert wanted == [10 * BATCH_BYTES // (10 * len(line))] * 3


async def test_a_client_that_does_not_read_holds_no_rows() -> None:
    rows: list[ref[Line]] = []

    def noted(line: Line) -> Line:
        rows.append(ref(line))
        return line

    async def made() -> AsyncGenerator[list[Line], int]:
        for number in range(3):
            yield [noted(Line(number=number))]

    chunks = aiter((await json_lines(made())).body_iterator)
    for number in range(3):
        await anext(chunks)
        assert rows[number]() is None


async def test_a_stream_is_cut_when_nobody_reads_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streaming, "STALL_SECONDS", 0.01)
    STALLED.take_new()

    async def send(_: Message) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(HANG):
        await (await json_lines(batches(3))).stream_response(send)

    assert STALLED.take_new() == {(): 1}
    assert "did not read" in caplog.text


async def test_rows_that_take_too_long_are_an_error() -> None:
    async def late() -> AsyncGenerator[list[Line], int]:
        yield [Line(number=1)]
        raise TimeoutError

    async def send(_: Message) -> None:
        """Read it."""

    with pytest.raises(TimeoutError):
        await (await json_lines(late())).stream_response(send)


async def test_the_openapi_document_names_the_format(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    content = document["paths"]["/lines/{count}"]["get"]["responses"]["200"]["content"]
    assert content.keys() == {"application/jsonl"}
