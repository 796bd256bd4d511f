"""What SQLite's errors stand for, and what may be told of them: they repeat no values."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from app.database.verdicts import Verdict

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
    sqlite3.SQLITE_TOOBIG: Verdict.CLIENT,
    sqlite3.SQLITE_CONSTRAINT: Verdict.CLIENT,
    sqlite3.SQLITE_MISMATCH: Verdict.CLIENT,
}


def judge(error: BaseException) -> Verdict:
    """Return what an error of the driver's, or SQLAlchemy's around it, stands for."""
    if isinstance(error, DBAPIError):
        return judge(error.orig) if error.orig is not None else Verdict.BUG
    code = getattr(error, "sqlite_errorcode", None) or 0
    return _VERDICTS.get(code & 0xFF, Verdict.BUG)  # the rest is the extended code


def tell_error(error: BaseException) -> str | None:
    """Return what may be told of an error of the driver's, None when it is another's."""
    if not isinstance(error, sqlite3.Error):
        return None
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)
