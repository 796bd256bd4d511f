"""What may be told of MySQL's and MariaDB's errors: the texts of some repeat a row's values."""

import re

from asyncmy.errors import MySQLError

# Errors whose messages name tables, columns, constraints and users, and no values: of
# connections, of privileges (1044, 1045, 1049), of the schema (1048, 1054, 1146, 1364), of
# what does not fit (1264, 1265, 1406), of constraints (1451, 1452, 3819, 4025), of time
# (1969, 3024): https://mariadb.com/docs/server/reference/error-codes
_NAMING = {
    *(1040, 1053, 1203, 1205, 1213, 1226, 1317, 1927, 2002, 2003, 2006, 2013),
    *(1044, 1045, 1048, 1049, 1054, 1146, 1264, 1265, 1364, 1406),
    *(1451, 1452, 1969, 3024, 3819, 4025),
}
_DUPLICATE = 1062
_KEY = re.compile(r"for key '[^']*'\Z")


def tell_error(error: BaseException) -> str | None:
    """Return what may be told of an error of the driver's, None when it is another's."""
    if not isinstance(error, MySQLError):
        return None
    number, message = (*error.args, "", "")[:2]
    if number == _DUPLICATE:
        found = _KEY.search(str(message))
        return f"{number} duplicate entry {found[0] if found else ''}".rstrip()
    return f"{number} {message}" if number in _NAMING else str(number)


# Constraints that other rows violate with the change: one refers to it, or is there already.
# A NULL, or what a CHECK refuses, stays an error of the service, whose schemas should refuse it.
_CONFLICTS = {1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762}


def tell_conflict(error: BaseException | None) -> str | None:
    """Return what may be told of an error if a change conflicts with other rows, else None."""
    if isinstance(error, MySQLError) and error.args and error.args[0] in _CONFLICTS:
        return tell_error(error)
    return None
