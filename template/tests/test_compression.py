"""Answers are compressed when it pays, and never changed otherwise."""

import gzip
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient
from starlette.types import Message, Receive, Scope, Send

from app.compression import LARGE, Compression, CompressionSettings
from app.etags import CODINGS

TEXT = "All work and no play makes Jack a dull boy. "


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.api_route("/text/{size}", methods=["GET", "HEAD"])
    async def text(
        request: Request, size: int, media_type: str = "text/plain", status: int = 200
    ) -> Response:
        body = (TEXT * (size // len(TEXT) + 1))[:size]
        given = {name[2:]: value for name, value in request.headers.items() if name[:2] == "x-"}
        headers = {"ETag": '"v1"', "Vary": "Origin", **given}
        return Response(body, status, media_type=media_type, headers=headers)

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            for _ in range(10):
                yield f"data: {TEXT * 100}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    return app


@pytest.mark.parametrize("size", [1024, LARGE, 10 * LARGE])
async def test_a_large_answer_is_compressed(client: AsyncClient, size: int) -> None:
    async with client.stream("GET", f"/text/{size}") as response:
        raw = b"".join([chunk async for chunk in response.aiter_raw()])

    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) == len(raw) < size / 5
    assert len(gzip.decompress(raw)) == size


async def test_a_precondition_knows_the_bytes_it_sends(client: AsyncClient) -> None:
    async with client.stream("GET", "/text/2000") as response:
        raw = b"".join([chunk async for chunk in response.aiter_raw()])

    assert CODINGS["gzip"](gzip.decompress(raw)) == raw


async def test_the_compressed_answer_is_another_representation(client: AsyncClient) -> None:
    response = await client.get("/text/2000")

    assert response.headers["etag"] == 'W/"v1"'
    assert response.headers["vary"] == "Origin, Accept-Encoding"


async def test_a_304_varies_as_its_200_does(client: AsyncClient) -> None:
    response = await client.get("/text/0?status=304")

    assert response.status_code == 304
    assert response.headers["vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/text/1023", {}),
        ("GET", "/text/2000?media_type=image/png", {}),
        ("GET", "/text/2000?status=206", {}),
        ("GET", "/text/2000", {"X-Cache-Control": "no-transform"}),
        ("GET", "/text/2000", {"X-Content-Encoding": "identity"}),
        ("HEAD", "/text/2000", {}),
        ("GET", "/events", {}),
    ],
)
async def test_what_does_not_pay_is_left_alone(
    client: AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    response = await client.request(method, path, headers=headers)

    assert response.status_code in (200, 206)
    assert response.headers.get("content-encoding", "identity") == "identity"
    assert "W/" not in response.headers.get("etag", "")


async def test_a_stream_begins_before_its_first_chunk() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        assert sent == ["http.response.start"]

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message["type"])

    sent: list[str] = []
    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
    await Compression(stream, CompressionSettings())(scope, receive, send)


async def test_the_header_may_come_in_several_lines(client: AsyncClient) -> None:
    headers = [("Accept-Encoding", "identity"), ("Accept-Encoding", "gzip")]

    response = await client.get("/text/2000", headers=headers)

    assert response.headers["content-encoding"] == "gzip"


async def test_a_client_that_refuses_gets_it_plain(client: AsyncClient) -> None:
    response = await client.get("/text/2000", headers={"Accept-Encoding": "gzip;q=0, *"})

    assert "content-encoding" not in response.headers
    assert response.headers["etag"] == '"v1"'
    assert "Accept-Encoding" in response.headers["vary"]  # a cache must still tell them apart


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("gzip; q=0.001", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=much", False),
    ],
)
def test_accept_encoding(header: str, accepted: bool) -> None:
    assert Compression.encodes(header) is accepted


class TestSwitchedOff:
    @pytest.fixture(autouse=True)
    def _level_0(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COMPRESSION_LEVEL", "0")

    async def test_nothing_is_compressed(self, client: AsyncClient) -> None:
        assert "content-encoding" not in (await client.get("/text/2000")).headers
