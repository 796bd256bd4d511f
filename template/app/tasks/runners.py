"""A runner of jobs with all that this service has beside it."""

from app.database import DatabaseSettings
from app.database.sync import SyncDatabase
from app.jobs.runner import Runner
from app.jobs.settings import TaskSettings
from app.tasks.parts import all_parts


def new_runner(settings: TaskSettings, database_settings: DatabaseSettings) -> Runner:
    """Return a runner for this process, with two connections: a job's and its lease's."""
    timeout = settings.statement_timeout
    database = SyncDatabase(database_settings, connections=2, statement_timeout=timeout)
    runner = Runner(database, settings)
    for part in all_parts():
        part.attach(runner)
    return runner
