"""Metrics of jobs. What is imported here decides where values live, so that comes late."""
# ruff: noqa: PLC0415

import os

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from app.database import DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.metrics.files import share_below
from app.settings import ServiceSettings


class ExporterSettings(ServiceSettings):
    """Where a worker tells its metrics."""

    model_config = SettingsConfigDict(env_prefix="TASKS_")

    metrics_port: int | None = Field(default=None, ge=1, le=65535)  # nowhere unless it is set


def before_fork(settings: TaskSettings) -> None:
    """Share a folder with the processes to come, and serve what all of them measure."""
    share_below(os.getpid())
    port = ExporterSettings().metrics_port
    if port is not None:
        from app.tasks.exporter import serve

        timeout = settings.statement_timeout
        database = SyncDatabase(DatabaseSettings(), connections=1, statement_timeout=timeout)
        try:
            serve(port, database)
        except OSError as error:  # it is another worker's, say
            raise SystemExit(f"TASKS_METRICS_PORT {port} cannot be had: {error}") from None


def attach(runner: Runner) -> None:
    """Measure what a runner does."""
    from app.tasks.exporter import observe

    runner.listeners.append(observe)
