"""What errors of MySQL and MariaDB mean to a request, and the parts without values of rows."""

import re

from asyncmy.errors import MySQLError
from sqlalchemy.exc import DBAPIError

from app.database.verdicts import UNSENDABLE, Verdict

# Errors whose messages name tables, columns, constraints and users, and no values: of
# connections, of privileges (1044, 1045, 1049), of the schema (1048, 1054, 1146, 1364), of
# what does not fit (1264, 1265, 1406), of constraints (1451, 1452, 3819, 4025), of time
# (1969, 3024), of the disk and of servers that do not write:
# https://mariadb.com/docs/server/reference/error-codes
_NAMING = {
    *(1040, 1053, 1203, 1205, 1213, 1226, 1317, 1927, 2002, 2003, 2006, 2013),
    *(1044, 1045, 1048, 1049, 1054, 1146, 1264, 1265, 1364, 1406),
    *(1451, 1452, 1969, 3024, 3819, 4025),
    *(3, 1021, 1026, 1030, 1114, 1290, 1836),
}
_DUPLICATE = 1062
_NOT_THERE = 1305  # of a savepoint: a dead-lock has ended the whole transaction
_KEY = re.compile(r"for key '[^']*'\Z")

# By number. What is not here is a bug: wrong SQL, a missing table or privilege, damage.
_VERDICTS = {
    number: verdict
    for verdict, numbers in {
        Verdict.AGAIN: (
            # A row or table that changed meanwhile (1020, 1412, 1615), a lock wait and
            # dead-locks (1205, 1206, 1213, 1614, 3572), a cluster that rolled back (1180, 3101).
            *(1020, 1180, 1205, 1206, 1213, 1412, 1614, 1615, 3101, 3572),
            # No memory, threads or connections (1040 and 1203 when connecting); what the engine
            # has for the moment (1297, 1637); cancelled by hand or by a limit (1317, 1969, 3024).
            *(1037, 1038, 1040, 1041, 1135, 1203, 1226, 1297, 1637, 1317, 1969, 3024),
        ),
        # 3, 1026 and 1030 have the operating system's number in their text, 28 mostly.
        Verdict.FULL: (3, 1021, 1026, 1030, 1114),
        Verdict.GONE: (
            # Shutting down, killed or idle for too long (2006 before the statement was sent).
            *(1053, 1077, 1078, 1079, 1080, 1152, 1184, 1927, 2006, 3169),
            # Not part of its cluster (1047); the host, the user, the password or the database
            # are refused, or not there yet.
            *(1042, 1043, 1044, 1045, 1047, 1049, 1129, 1130, 2002, 2003, 2005, 2012, 2014, 2026),
        ),
        # --read-only, and transactions that are so by default: a replica.
        Verdict.MOVED: (1290, 1792, 1836),
        Verdict.LOST: (1158, 1159, 1160, 1161, 2013, 2055),
        # Too long, too large, no number, no date, not text, no JSON. A division by zero is a bug.
        Verdict.VALUE: (1153, 1264, 1265, 1292, 1300, 1366, 1406, 1441, 1690, 3140),
        # Not null, not there, there twice, still in use.
        Verdict.CLIENT: (
            *(1022, 1048, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 3819, 4025),
        ),
    }.items()
    for number in numbers
}


def judge(error: BaseException) -> Verdict:
    """Return what an error of the driver's, or SQLAlchemy's around it, stands for."""
    if isinstance(error, DBAPIError):
        verdict = judge(error.orig) if error.orig is not None else Verdict.BUG
        return Verdict.LOST if error.connection_invalidated and not verdict.passes else verdict
    if isinstance(error, OSError):
        return Verdict.LOST
    if isinstance(error, UNSENDABLE):
        return Verdict.VALUE
    number = error.args[0] if error.args else None
    if number == _NOT_THERE and str(error.args[-1]).startswith("SAVEPOINT "):
        return Verdict.AGAIN
    return _VERDICTS.get(number, Verdict.BUG) if isinstance(number, int) else Verdict.BUG


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
    """Return the text to log for a conflict with other rows, None for any other error."""
    if isinstance(error, MySQLError) and error.args and error.args[0] in _CONFLICTS:
        return tell_error(error)
    return None
