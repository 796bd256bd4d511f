"""What runs in the processes of the pool. It imports little: each of them does so anew."""

import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import parent_process
from threading import Thread
from time import sleep
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class OutOfTimeError(BaseException):
    """A computation took too long; raised inside of it, past its own `except Exception`."""


def begin() -> None:
    """Get the process ready."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the service, which stops the pool
    signal.signal(signal.SIGALRM, _stop)
    os.nice(5)  # where cores are few, those that serve go first
    Thread(target=_end_with_service, daemon=True).start()


def compute(
    seconds: float, function: Callable[..., T], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> T:
    """Return what `function` returns.

    Raises:
        OutOfTimeError: when it takes longer than that; not before a call into C returns.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return function(*args, **kwargs)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def rest(seconds: float) -> None:
    """Do nothing for so long."""
    sleep(seconds)


def _stop(*_: object) -> NoReturn:
    raise OutOfTimeError


def _end_with_service() -> None:
    """A service that is killed stops nothing, and its pool would wait for work for ever."""
    service = parent_process()
    if service is not None:
        service.join()
        os._exit(1)
