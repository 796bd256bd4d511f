"""What may be told of SQLite's errors: they name tables and columns, and repeat no values."""

from sqlite3 import (
    SQLITE_CONSTRAINT_PRIMARYKEY,
    SQLITE_CONSTRAINT_ROWID,
    SQLITE_CONSTRAINT_UNIQUE,
    Error,
    IntegrityError,
)


def tell_error(error: BaseException) -> str | None:
    """Return what may be told of an error of the driver's, None when it is another's."""
    if not isinstance(error, Error):
        return None
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


# Constraints that other rows violate with the change: one refers to it, or is there already.
# A NULL, or what a CHECK refuses, stays an error of the service, whose schemas should refuse it.
_CONFLICTS = (SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID)


def tell_conflict(error: BaseException | None) -> str | None:
    """Return what may be told of an error if a change conflicts with other rows, else None."""
    if not isinstance(error, IntegrityError):
        return None
    # By its text: ON DELETE RESTRICT has the code of a trigger.
    refers = str(error) == "FOREIGN KEY constraint failed"
    return tell_error(error) if refers or error.sqlite_errorcode in _CONFLICTS else None
