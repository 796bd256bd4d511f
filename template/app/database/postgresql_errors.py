"""What may be told of PostgreSQL's errors: the texts of some repeat a row's values."""

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

# Classes of SQLSTATE whose messages name tables, columns and constraints, and no values:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NAMING = ("08", "23", "25", "28", "3D", "40", "42", "53", "55", "57")


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
    """Return what may be told of an error if a change conflicts with other rows, else None."""
    cause = error and error.__cause__
    if isinstance(cause, asyncpg.PostgresError) and cause.sqlstate in _CONFLICTS:
        return tell_error(cause)
    return None
