"""How many workers the connection budget has room for."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from app.database import DatabaseSettings, UnavailableError


def most_workers(limit: Callable[[str], Awaitable[int]] | None = None) -> int:
    """Return how many workers fit, at least 1; any number where it cannot be asked.

    Args:
        limit: asks the server at a URL how many connections it allows; the settings' own if None.
    """
    settings = DatabaseSettings()
    if not settings.has_budget:
        return sys.maxsize
    ask = limit or settings.connection_limit
    needs = {settings.url: settings.write_pool + settings.read_pool}
    if settings.read_url is not None:
        needs[settings.read_url] = needs.get(settings.read_url, 0) + settings.read_pool

    async def room(url: str, pools: int) -> int:
        return (await ask(url) - settings.headroom) // (settings.replicas * pools)

    async def least() -> int:
        return min([await room(url, pools) for url, pools in needs.items()])

    try:
        return max(1, asyncio.run(least()))
    except UnavailableError:
        return sys.maxsize  # the service starts before its database, as it may
