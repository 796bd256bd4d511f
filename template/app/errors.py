"""Errors as problem details (RFC 9457), the same shape for every failure."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException


class Problem(BaseModel):
    """The body of every error response."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    errors: list[dict[str, Any]] | None = None


class ProblemError(HTTPException):
    """Raise to answer with problem details.

    Args:
        status: the HTTP status code.
        detail: one sentence for the client; it is sent as it is.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)


class ProblemResponse(JSONResponse):
    """Problem details under their own media type."""

    media_type = "application/problem+json"

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        problem = Problem(
            title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors
        )
        super().__init__(problem.model_dump(exclude_none=True), status, headers=headers)


# In the OpenAPI document, for every route.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Error",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    }
}


def add_problem_details(app: FastAPI) -> None:
    """Answer every error of `app` with problem details.

    Exceptions that no route expects are the business of the outermost middleware,
    which knows the request's id.
    """

    @app.exception_handler(HTTPException)
    async def on_http_exception(_: Request, error: HTTPException) -> ProblemResponse:
        return ProblemResponse(error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(PoolTimeoutError)
    async def on_pool_timeout(_: Request, error: PoolTimeoutError) -> ProblemResponse:
        # The database is busy, not the request wrong: the same one may pass in a moment.
        return ProblemResponse(503, "The service is busy.", headers={"Retry-After": "1"})

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(_: Request, error: RequestValidationError) -> ProblemResponse:
        # The refused value stays out of the answer: it may be a secret.
        errors = [
            {"loc": list(entry["loc"]), "msg": entry["msg"], "type": entry["type"]}
            for entry in error.errors()
        ]
        return ProblemResponse(422, "The request is not valid.", errors=errors)
