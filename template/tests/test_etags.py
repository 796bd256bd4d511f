"""A change of what another has changed meanwhile is refused."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel

from app.etags import CODINGS, IfMatch, etag_of


class Cup(BaseModel):
    size: int


NOW = etag_of(b'{"size":3}').decode()


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.put("/cups")
    async def change(if_match: IfMatch, required: bool = False) -> None:
        if_match.check(Cup(size=3), required=required)

    return app


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 200),
        (["*"], 200),
        ([NOW], 200),
        (['"other", ' + NOW], 200),
        (['"other"', NOW], 200),
        (['"other"'], 412),
        ([f"W/{NOW}"], 412),
        ([NOW.strip('"')], 412),
        (["*", '"other"'], 412),
        ([""], 412),
    ],
)
async def test_another_version_than_the_one_named_is_not_changed(
    client: AsyncClient, lines: list[str], status: int
) -> None:
    answer = await client.put("/cups", headers=[("If-Match", line) for line in lines])

    assert answer.status_code == status


async def test_a_route_can_require_that_one_is_named(client: AsyncClient) -> None:
    refused = await client.put("/cups?required=true")
    named = await client.put("/cups?required=true", headers={"If-Match": NOW})

    assert (refused.status_code, named.status_code) == (428, 200)
    assert refused.headers["content-type"] == "application/problem+json"


async def test_a_version_is_named_in_any_coding(
    client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODINGS, "backwards", lambda body: body[::-1])
    headers = {"If-Match": etag_of(b'}3:"ezis"{').decode()}

    assert (await client.put("/cups", headers=headers)).status_code == 200
