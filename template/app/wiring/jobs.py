"""Jobs: their routes, and who carries them."""

from fastapi import FastAPI

from app.jobs import routes
from app.jobs.kinds import all_kinds
from app.jobs.settings import TaskSettings
from app.tasks.embedded import Embedded
from app.tasks.publisher import Publisher
from app.wiring import Companions


def add_jobs(app: FastAPI, companions: Companions) -> None:
    """Serve `/jobs`, and hand new jobs to the broker, or run them here where there is none."""
    settings = TaskSettings()
    all_kinds()  # imports them: the first request must not
    app.include_router(routes.router)
    carrier = Publisher(settings) if settings.broker_url else Embedded(settings)
    companions.append(carrier.opened)
