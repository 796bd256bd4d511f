"""What a job changes makes cached answers stale, as what a request changes does."""

import logging
from collections.abc import Iterable
from typing import Any

from redis import Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from sqlalchemy.orm import Session

from app.caching.cache import features
from app.caching.entries import ERRORS
from app.caching.invalidation import noting_changes, take_changed
from app.caching.redis import TAG_SECONDS, CacheSettings, new_generation
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.redis_parameters import split_url

logger = logging.getLogger(__name__)

TIMEOUT = 1.0  # seconds that Redis may take, for each of the tries
TRIES = 5


def before_fork(settings: TaskSettings) -> None:
    """Read the settings, so that a wrong one ends the worker; a connection does not bear a fork."""
    CacheSettings()


def attach(runner: Runner) -> None:
    """Tell Redis what jobs have changed, after their commit."""
    settings = CacheSettings()
    retry = Retry(ExponentialBackoff(cap=2, base=0.1), TRIES)
    address, options = split_url(settings.url)
    redis = Redis.from_url(
        address, **options, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=retry
    )
    all_stale_tags = [feature.stale_tags for feature in features()]

    def stale_tags(changed: Any) -> Iterable[str]:
        for tags in all_stale_tags:
            yield from tags(changed)

    def after_commit(session: Session) -> None:
        changed = take_changed(session.info)
        generation = new_generation()
        try:
            with redis.pipeline() as pipeline:
                for tag in changed:
                    pipeline.set(f"{settings.prefix}:tag:{tag}", generation, ex=TAG_SECONDS)
                pipeline.execute()
        except RedisError:
            ERRORS.add()
            logger.warning("answers are stale, and go by their own time", exc_info=True)

    # As long as the process lives.
    runner.parts.enter_context(noting_changes(runner.database.sessions, stale_tags))
    runner.database.after_commit.append(after_commit)
