"""What an error of the database stands for; `*_errors.py` has the table of each database."""

import logging
from collections.abc import Callable
from enum import Enum, auto

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from app.errors import ProblemError

logger = logging.getLogger(__name__)

# What a driver raises for a value that it cannot send: an integer of too many digits, text with
# half of a surrogate pair.
UNSENDABLE = (OverflowError, UnicodeEncodeError)


class Verdict(Enum):
    """What becomes of a request that met an error, and of its connection."""

    AGAIN = auto()  # 503: the same request may pass in a moment
    FULL = auto()  # 503: the server can read but not write, as it has no room
    GONE = auto()  # 503, and the connection is dropped: the server does not serve it
    MOVED = auto()  # as GONE: this server does not write any more, another one may
    LOST = auto()  # as GONE: the connection broke; during a commit the outcome is unknown
    VALUE = auto()  # 422: a value that no column of its kind can hold
    CLIENT = auto()  # a constraint: 409 where other rows violate it with the change, else 500
    BUG = auto()  # 500

    @property
    def passes(self) -> bool:
        """Whether the same request may pass later."""
        return self not in (Verdict.VALUE, Verdict.CLIENT, Verdict.BUG)

    @property
    def drops(self) -> bool:
        """Whether the connection is of no use any more."""
        return self in (Verdict.GONE, Verdict.MOVED, Verdict.LOST)


# Judges an error of a driver's, or SQLAlchemy's around it.
Judge = Callable[[BaseException], Verdict]


class UnfitError(ProblemError):
    """A value of the request's that the database refused."""

    def __init__(self) -> None:
        super().__init__(422, "A value is out of range, too long, or not valid text.")

    @classmethod
    def because(cls, error: BaseException) -> "UnfitError":
        """Return it for a driver's error, whose kind is logged."""
        cause = getattr(error, "orig", None) or error
        kind = type(cause.__cause__ or cause).__name__
        logger.warning("a value of a request does not fit: %s", kind)
        return cls()


def drop_useless(engine: Engine, judge: Judge, moved: Callable[[], None] | None = None) -> None:
    """Have a pool open its connections anew when one of them has turned out to be of no use.

    Args:
        moved: called when the server does not write any more.
    """

    @event.listens_for(engine, "handle_error")
    def drop(failure: ExceptionContext) -> None:
        verdict = judge(failure.original_exception)
        if verdict.drops:
            failure.is_disconnect = True  # SQLAlchemy renews all connections of the pool
        if verdict is Verdict.MOVED and moved is not None:
            moved()
