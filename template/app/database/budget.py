"""The connection budget: all that this service may open, against what the server allows."""

import logging
from collections.abc import Awaitable, Callable

from pydantic import Field

from app.database.gate import UnavailableError
from app.database.settings import PoolSettings

logger = logging.getLogger(__name__)


class ServerSettings(PoolSettings):
    """What a database server needs to know, besides its own address.

    `DATABASE_WRITE_POOL` and `DATABASE_READ_POOL` count for each worker.
    """

    url: str
    # Of a replica: routes that take `ReplicaReads` read there.
    read_url: str | None = Field(default=None, validation_alias="READ_DATABASE_URL")
    write_pool: int = Field(default=5, ge=1)
    headroom: int = Field(default=5, ge=0)  # left for migrations, backups and people
    # Known to the servers under the same name, so that both count the same.
    workers: int = Field(default=1, ge=1, validation_alias="WEB_CONCURRENCY")
    replicas: int = Field(default=1, ge=1, validation_alias="REPLICAS")

    @property
    def has_budget(self) -> bool:
        """Whether the limits are the server's own, so that it can be asked for them."""
        return True


class BudgetError(Exception):
    """The service could open more connections than the server allows."""


async def check_budget(
    settings: ServerSettings, connection_limit: Callable[[str], Awaitable[int]]
) -> None:
    """Refuse settings under which a busy service would be refused connections.

    Args:
        connection_limit: asks the server at a URL how many connections it allows.

    Raises:
        BudgetError: with the numbers to change.
    """
    await _check(settings, settings.url, connection_limit, writes=True)
    if settings.read_url is not None:
        await _check(settings, settings.read_url, connection_limit, writes=False)


async def _check(
    settings: ServerSettings,
    url: str,
    connection_limit: Callable[[str], Awaitable[int]],
    *,
    writes: bool,
) -> None:
    try:
        limit = await connection_limit(url)
    except UnavailableError as error:
        # A service may start before its database: it is live then, and not ready.
        logger.warning("the connection budget is not checked: %r", error.__cause__)
        return
    pools, names = settings.read_pool, f"DATABASE_READ_POOL {settings.read_pool}"
    if writes:
        pools += settings.write_pool
        names = f"(DATABASE_WRITE_POOL {settings.write_pool} + {names})"
    needed = settings.replicas * settings.workers * pools + settings.headroom
    budget = (
        f"REPLICAS {settings.replicas} x WEB_CONCURRENCY {settings.workers} x {names}"
        f" + DATABASE_HEADROOM {settings.headroom} = {needed}"
    )
    if needed > limit:
        raise BudgetError(
            f"The service may open more connections than the {limit} that the database allows:"
            f" {budget}. Lower one of these, or raise the database's max_connections."
        )
    logger.info("connection budget: %s of %d", budget, limit)
