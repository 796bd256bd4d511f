"""All planted faults, a file for each capability."""

from collections.abc import Iterator

from tests.faults import (
    caching,
    compression,
    connections,
    database,
    etags,
    example,
    guard,
    gunicorn,
    health,
    metrics,
    migrations,
    mysql,
    observability,
    outbound,
    own_checks,
    postgresql,
    process_pool,
    redis,
    sqlite,
    tasks,
    tasks_caching,
    web,
)
from tests.faults.fault import Capability, Case

CAPABILITIES: tuple[Capability, ...] = (
    database,
    sqlite,
    postgresql,
    mysql,
    migrations,
    example,
    web,
    guard,
    connections,
    health,
    compression,
    etags,
    observability,
    metrics,
    caching,
    redis,
    gunicorn,
    outbound,
    process_pool,
    tasks,
    tasks_caching,
    own_checks,
)


def cases() -> Iterator[Case]:
    """Yield each fault with each of its databases."""
    for capability in CAPABILITIES:
        for fault in capability.FAULTS:
            for database_ in fault.databases or capability.DATABASES:
                answers = {"preset": "standard", "database": database_, **capability.ANSWERS}
                yield Case(answers, fault)
