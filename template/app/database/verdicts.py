"""What an error of the database stands for; `*_errors.py` has the table of each database."""

from collections.abc import Callable
from enum import Enum, auto

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext


class Verdict(Enum):
    """What becomes of a request that met an error, and of its connection."""

    AGAIN = auto()  # 503: the same request may pass in a moment
    FULL = auto()  # 503: the server can read but not write, as it has no room
    GONE = auto()  # 503, and the connection is dropped: the server does not serve it
    MOVED = auto()  # as GONE: this server does not write any more, another one may
    LOST = auto()  # as GONE: the connection broke; during a commit the outcome is unknown
    CLIENT = auto()  # what the client sent does not fit what is stored
    BUG = auto()  # 500

    @property
    def passes(self) -> bool:
        """Whether the same request may pass later."""
        return self not in (Verdict.CLIENT, Verdict.BUG)

    @property
    def drops(self) -> bool:
        """Whether the connection is of no use any more."""
        return self in (Verdict.GONE, Verdict.MOVED, Verdict.LOST)


# Judges an error of a driver's, or SQLAlchemy's around it.
Judge = Callable[[BaseException], Verdict]


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
