"""What may be told of SQLite's errors: they name tables and columns, and repeat no values."""

from sqlite3 import Error


def tell_error(error: BaseException) -> str | None:
    """Return what may be told of an error of the driver's, None when it is another's."""
    if not isinstance(error, Error):
        return None
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)
