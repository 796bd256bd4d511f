"""What SQLite's errors mean to a request, and the parts that are safe to log: they repeat no values."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from app.database.verdicts import UNSENDABLE, Verdict

# By primary result code (https://www.sqlite.org/rescode.html). What is not here is a bug.
_VERDICTS = {
    sqlite3.SQLITE_BUSY: Verdict.AGAIN,  # another process holds the lock
    sqlite3.SQLITE_LOCKED: Verdict.AGAIN,
    sqlite3.SQLITE_NOMEM: Verdict.AGAIN,
    sqlite3.SQLITE_INTERRUPT: Verdict.AGAIN,
    sqlite3.SQLITE_PROTOCOL: Verdict.AGAIN,  # a race for the lock
    sqlite3.SQLITE_SCHEMA: Verdict.AGAIN,  # the table has changed meanwhile
    sqlite3.SQLITE_FULL: Verdict.FULL,
    sqlite3.SQLITE_IOERR: Verdict.FULL,
    sqlite3.SQLITE_CANTOPEN: Verdict.GONE,
    sqlite3.SQLITE_READONLY: Verdict.MOVED,  # the disk, or a file that was replaced
    sqlite3.SQLITE_TOOBIG: Verdict.VALUE,
    sqlite3.SQLITE_CONSTRAINT: Verdict.CLIENT,
    sqlite3.SQLITE_MISMATCH: Verdict.CLIENT,
}


def judge(error: BaseException) -> Verdict:
    """Return what an error of the driver's, or SQLAlchemy's around it, stands for."""
    if isinstance(error, DBAPIError):
        return judge(error.orig) if error.orig is not None else Verdict.BUG
    if isinstance(error, UNSENDABLE):
        return Verdict.VALUE
    code = getattr(error, "sqlite_errorcode", None) or 0
    return _VERDICTS.get(code & 0xFF, Verdict.BUG)  # the rest is the extended code


def tell_error(error: BaseException) -> str | None:
    """Return what may be told of an error of the driver's, None when it is another's."""
    if not isinstance(error, sqlite3.Error):
        return None
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


# Constraints that other rows violate with the change: one refers to it, or is there already.
# A NULL, or what a CHECK refuses, stays an error of the service, whose schemas should refuse it.
_CONFLICTS = (
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
)


def tell_conflict(error: BaseException | None) -> str | None:
    """Return the text to log for a conflict with other rows, None for any other error."""
    if not isinstance(error, sqlite3.IntegrityError):
        return None
    # By its text: ON DELETE RESTRICT has the code of a trigger.
    refers = str(error) == "FOREIGN KEY constraint failed"
    return tell_error(error) if refers or error.sqlite_errorcode in _CONFLICTS else None
