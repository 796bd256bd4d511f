"""Every failure is answered with problem details."""

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
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
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "42" not in response.text
    assert "the secret is 42" in caplog.text  # the log has it


async def test_an_unknown_path_is_a_problem_too(client: AsyncClient) -> None:
    response = await client.get("/no-such-path")

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Not Found"


async def test_a_405_names_the_methods_of_all_routes(app: FastAPI, client: AsyncClient) -> None:
    router = APIRouter(prefix="/cups")

    @router.get("/{cup}")
    @router.post("/mine")
    async def get_cup() -> None:
        """Be there."""

    app.include_router(router)

    @app.put("/cups/{cup}")
    async def put_cup() -> None:
        """Be there too."""

    mine, other = await client.delete("/cups/mine"), await client.delete("/cups/other")

    assert (mine.status_code, mine.headers["allow"]) == (405, "GET, HEAD, POST, PUT")
    assert (other.status_code, other.headers["allow"]) == (405, "GET, HEAD, PUT")
    assert mine.headers["content-type"] == "application/problem+json"


async def test_the_openapi_document_describes_errors(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    for path in document["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"]  # FastAPI's own shape, never sent


@pytest.mark.parametrize(
    ("status", "detail", "body"),
    [
        (404, {"id": 7}, {"title": "Not Found", "errors": [{"id": 7}]}),
        (409, ["a", "b"], {"title": "Conflict", "errors": ["a", "b"]}),
        (499, "Gone away.", {"title": "Error", "detail": "Gone away."}),
    ],
)
async def test_any_http_exception_is_answered(
    app: FastAPI, client: AsyncClient, status: int, detail: object, body: dict[str, object]
) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise HTTPException(status, detail)

    response = await client.get("/raises")

    assert response.json() == {"type": "about:blank", "status": status, **body}


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(
    app: FastAPI, client: AsyncClient, status: int
) -> None:
    @app.get("/raises")
    async def raises() -> None:
        raise HTTPException(status)

    response = await client.get("/raises")

    assert (response.status_code, response.content) == (status, b"")
