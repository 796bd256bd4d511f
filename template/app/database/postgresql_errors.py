"""What PostgreSQL's errors mean to a request, and the parts without values of rows."""

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError

from app.database.verdicts import UNSENDABLE, Verdict

# Classes of SQLSTATE whose messages name tables, columns and constraints, and no values:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NAMING = ("08", "23", "25", "28", "3D", "40", "42", "53", "55", "57")

# By SQLSTATE, or by its class. What is not here is a bug: wrong SQL, a missing table or
# privilege (42), a wrong state of the transaction (25), other limits of the server (54), damage (XX).
_VERDICTS = {
    "08": Verdict.LOST,
    "08001": Verdict.GONE,  # could not connect
    "08004": Verdict.GONE,  # refused to connect
    "08P01": Verdict.GONE,  # pgbouncer's own errors
    # Data: too long, out of range, no date, NUL, no number. The rest of 22 is a bug: a division by
    # zero, a NULL, a wrong argument of a function.
    **dict.fromkeys(("22001", "22003", "22007", "22008", "22009", "22015"), Verdict.VALUE),
    **dict.fromkeys(("22018", "22021", "2201W", "2201X", "22P02", "22P05"), Verdict.VALUE),
    "23": Verdict.CLIENT,  # constraints
    "25006": Verdict.MOVED,  # the primary is a standby now
    "25P03": Verdict.GONE,  # idle in a transaction for too long: the server closes
    "25P04": Verdict.GONE,  # a transaction that took too long: the server closes
    "28": Verdict.GONE,  # the password, or the role, is another one or not there yet
    "3D": Verdict.GONE,  # nor is the database
    "40": Verdict.AGAIN,  # serialization, dead-lock
    "40002": Verdict.CLIENT,  # a constraint
    "40003": Verdict.LOST,  # the server does not know either
    "44": Verdict.CLIENT,  # WITH CHECK OPTION
    "53": Verdict.AGAIN,  # out of memory, too many connections
    "53100": Verdict.FULL,
    "54000": Verdict.VALUE,  # too long for an index
    "55006": Verdict.AGAIN,  # in use
    "55P03": Verdict.AGAIN,  # a lock was not to be had
    "57": Verdict.GONE,  # shutting down, starting, dropped, idle for too long
    "57000": Verdict.AGAIN,
    "57014": Verdict.AGAIN,  # cancelled, by a limit or by hand
    "58030": Verdict.FULL,  # an error of the disk
    "72": Verdict.AGAIN,  # the snapshot is too old
    "HV00N": Verdict.AGAIN,  # a foreign server is away
}


_STALE = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)


def judge(error: BaseException) -> Verdict:
    """Return what an error of the driver's, or SQLAlchemy's around it, stands for."""
    if isinstance(error, DBAPIError):
        verdict = judge(error.orig) if error.orig is not None else Verdict.BUG
        return Verdict.GONE if error.connection_invalidated and not verdict.passes else verdict
    if isinstance(error, AsyncAdapt_asyncpg_dbapi.Error) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error.__cause__, asyncpg.PostgresError):  # the server said why it closed
        error = error.__cause__
    if isinstance(error.__cause__, UNSENDABLE):
        return Verdict.VALUE
    # A plan, or a type, that is older than the table: prepared anew it passes.
    if isinstance(error, _STALE) or "cached plan must not change" in str(error):
        return Verdict.AGAIN
    if isinstance(error, asyncpg.InternalClientError | OSError):  # broke while it was in use
        return Verdict.LOST
    if isinstance(error, asyncpg.InterfaceError):
        # One with a value is of a parameter; the others are of a connection that is closed.
        return Verdict.BUG if isinstance(error, ValueError) else Verdict.GONE
    state = getattr(error, "sqlstate", None) or ""  # whatever the driver
    return _VERDICTS.get(state) or _VERDICTS.get(state[:2], Verdict.BUG)


def tell_error(error: BaseException) -> str | None:
    """Return what may be told of an error of the driver's, None when it is another's."""
    if isinstance(error, asyncpg.PostgresError):
        names = {
            "SQLSTATE": error.sqlstate,
            "constraint": error.constraint_name,
            "table": error.table_name,
            "column": error.column_name,
        }
        facts = ", ".join(f"{key} {name}" for key, name in names.items() if name)
        if error.args and str(error.sqlstate).startswith(_NAMING):
            return f"{error.args[0]} ({facts})"  # not str(error): its DETAIL has the values
        return facts
    if isinstance(error, AsyncAdapt_asyncpg_dbapi.Error):
        return f"SQLSTATE {error.sqlstate}" if error.sqlstate else ""  # its cause says more
    if isinstance(error, asyncpg.InterfaceError):
        return str(error).partition(":")[0]  # what follows may be a value
    return None


# Constraints that other rows violate with the change: one refers to it, or is there already.
# A NULL, or what a CHECK refuses, stays an error of the service, whose schemas should refuse it.
_CONFLICTS = ("23001", "23503", "23505", "23P01")


def tell_conflict(error: BaseException | None) -> str | None:
    """Return the text to log for a conflict with other rows, None for any other error."""
    cause = error and error.__cause__
    if isinstance(cause, asyncpg.PostgresError) and cause.sqlstate in _CONFLICTS:
        return tell_error(cause)
    return None
