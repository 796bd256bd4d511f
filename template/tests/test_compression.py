"""Answers are compressed when it pays, and never changed otherwise."""

import gzip
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from httpx2 import AsyncClient

from app.compression import LARGE, CompressionSettings, accepts_gzip

TEXT = "All work and no play makes Jack a dull boy. "


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.get("/text/{size}")
    async def text(size: int, media_type: str = "text/plain", cache: str = "private") -> Response:
        body = (TEXT * (size // len(TEXT) + 1))[:size]
        headers = {"ETag": '"v1"', "Cache-Control": cache, "Vary": "Origin"}
        return Response(body, media_type=media_type, headers=headers)

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


async def test_the_compressed_answer_is_another_representation(client: AsyncClient) -> None:
    response = await client.get("/text/2000")

    assert response.headers["etag"] == 'W/"v1"'
    assert response.headers["vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/text/1023",
        "/text/2000?media_type=image/png",
        "/text/2000?cache=no-transform",
        "/events",
    ],
)
async def test_what_does_not_pay_is_left_alone(client: AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert response.status_code == 200
    assert "content-encoding" not in response.headers
    assert "W/" not in response.headers.get("etag", "")


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
    assert accepts_gzip(header) is accepted


def test_the_level_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSION_LEVEL", "0")

    assert CompressionSettings().level == 0
