"""The signals that ask the command to stop: Ctrl-C, SIGTERM, SIGHUP.

The first one raises `Stopped` wherever the command is, so that unfinished work is undone.
Further ones do nothing: undoing must not be interrupted.
"""

import signal
from types import FrameType


class Stopped(BaseException):
    """A signal asked the command to stop. Not an `Exception`: no handler of errors takes it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit = 128 + number  # as shells report it
        self.message = "Stopped: nothing was changed."


_held = False


def listen() -> None:
    """Raise `Stopped` at the first signal from now on."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _stop)


def hold() -> None:
    """Ignore signals from now on: what is left to do is short and must be whole."""
    global _held  # noqa: PLW0603  (signal handlers are global too)
    _held = True


def _stop(number: int, _: FrameType | None) -> None:
    if not _held:
        hold()
        raise Stopped(number)
