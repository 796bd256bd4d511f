"""Tracebacks without the values that some errors repeat, which may be secrets.

Databases repeat those of a row, and validation those that were not valid.
"""

from collections.abc import Iterator
from traceback import TracebackException

from fastapi.exceptions import ValidationException
from pydantic import ValidationError
from sqlalchemy.exc import StatementError

from app.database import tell_error


def format_safely(error: BaseException) -> str:
    """Return the traceback of an error and of all that led to it, without values."""
    told = TracebackException(type(error), error, error.__traceback__, compact=True)
    of_statements: set[int] = set()
    for part, its_error in _parts(told, error):
        text = _safe_text(its_error)
        if isinstance(its_error, StatementError):
            of_statements.add(id(its_error.orig))
        elif text is None and id(its_error) in of_statements:
            text = ""  # a value that SQLAlchemy could not convert
        if text is not None:
            vars(part)["_str"] = text  # it has no public name
    return "".join(told.format()).rstrip("\n")


def _parts(
    told: TracebackException, error: BaseException
) -> Iterator[tuple[TracebackException, BaseException]]:
    """Give each error with what is told of it: causes, contexts, and members of groups."""
    yield told, error
    for part, its_error in (
        (told.__cause__, error.__cause__),
        (told.__context__, error.__context__),
        *zip(told.exceptions or (), getattr(error, "exceptions", ()), strict=False),
    ):
        if part is not None and its_error is not None:
            yield from _parts(part, its_error)


def _safe_text(error: BaseException) -> str | None:
    """Return what may be told of an error, None where that is its own text."""
    if isinstance(error, ValidationError | ValidationException):
        return ", ".join(str(entry["loc"]) for entry in error.errors())
    if isinstance(error, StatementError):
        kind = type(error.orig)
        about = (error.orig and tell_error(error.orig)) or ""
        text = f"({kind.__module__}.{kind.__qualname__}) {about}".rstrip()
        return f"{text}\n[SQL: {error.statement}]" if error.statement else text
    return tell_error(error)
