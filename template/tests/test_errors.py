"""Every failure is answered with problem details."""

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from pydantic import BaseModel

from app.errors import ProblemError


class Login(BaseModel):
    pin: int


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/login")
    async def login(credentials: Login) -> None:
        raise ProblemError(403, "This account is locked.")

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret is 42")

    return app


async def test_an_expected_error_tells_its_reason(client: AsyncClient) -> None:
    response = await client.post("/login", json={"pin": 1234})

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "This account is locked.",
    }


async def test_a_bad_request_names_the_field_and_not_its_value(client: AsyncClient) -> None:
    response = await client.post("/login", json={"pin": "hunter2"})

    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", "pin"]
    assert "hunter2" not in response.text


async def test_an_unexpected_error_tells_nothing(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/broken")

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 500
    assert "42" not in response.text
    assert "the secret is 42" in caplog.text  # the log has it


async def test_an_unknown_path_is_a_problem_too(client: AsyncClient) -> None:
    response = await client.get("/no-such-path")

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Not Found"


async def test_the_openapi_document_describes_errors(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    for path in document["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"]  # FastAPI's own shape, never sent
