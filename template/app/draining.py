"""A stop that nobody notices: first not ready, and only then stopping.

A platform hears from a failing readiness probe that it should send no more requests, and takes
some seconds to act on it. A server that stops at once refuses those that come meanwhile.
"""

import asyncio
import logging
import signal

logger = logging.getLogger(__name__)

# For the whole process, as its signals are.
stopping = asyncio.Event()


def drain_on_sigterm(seconds: float) -> None:
    """Have SIGTERM make the service not ready, and stop it so many seconds later.

    At 0 the signal is left to the server, which stops at once. SIGINT (Ctrl+C) always is.
    """
    stopping.clear()
    if not seconds:
        return
    loop = asyncio.get_running_loop()

    def drain() -> None:
        if stopping.is_set():  # a second signal does not prolong it
            return
        stopping.set()
        logger.info("not ready from now on, stopping in %g s", seconds)
        # The other signal that servers stop gently on: their handler of this one is replaced.
        loop.call_later(seconds, signal.raise_signal, signal.SIGINT)

    loop.add_signal_handler(signal.SIGTERM, drain)
