"""Tracebacks without the values that some errors repeat, which may be secrets.

Databases repeat those of a row, and validation those that were not valid.
"""

from collections.abc import Iterator
from traceback import TracebackException

from fastapi.exceptions import ValidationException
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError, StatementError

from app.database import tell_error
from app.errors import MAX_ERRORS


def format_safely(error: BaseException) -> str:
    """Return the traceback of an error and of all that led to it, without values."""
    told = TracebackException(type(error), error, error.__traceback__, compact=True)
    for part, text in _parts(told, error, values=False):
        if text is not None:
            vars(part)["_str"] = text  # it has no public name
    return "".join(told.format()).rstrip("\n")


def _parts(
    told: TracebackException, error: BaseException, *, values: bool
) -> Iterator[tuple[TracebackException, str | None]]:
    """Give what is told of each error, causes, contexts and members of groups, and a safe text.

    Args:
        values: whether the error led to one of a statement, which it was given values for.
    """
    text = _safe_text(error)
    yield told, "" if values and text is None else text
    values = values or isinstance(error, StatementError) or tell_error(error) is not None
    for part, its_error in (
        (told.__cause__, error.__cause__),
        (told.__context__, error.__context__),
        *zip(told.exceptions or (), getattr(error, "exceptions", ()), strict=False),
    ):
        if part is not None and its_error is not None:
            yield from _parts(part, its_error, values=values)


def _safe_text(error: BaseException) -> str | None:
    """Return what may be told of an error, None where that is its own text."""
    if isinstance(error, ValidationError | ValidationException):
        return ", ".join(str(entry["loc"]) for entry in error.errors()[:MAX_ERRORS])
    if isinstance(error, StatementError):
        kind = type(error.orig)
        about = (error.orig and tell_error(error.orig)) or ""
        text = f"({kind.__module__}.{kind.__qualname__}) {about}".rstrip()
        return f"{text}\n[SQL: {error.statement}]" if error.statement else text
    if isinstance(error, SQLAlchemyError):
        return str(error).partition(" Original exception was")[0]
    return tell_error(error)
