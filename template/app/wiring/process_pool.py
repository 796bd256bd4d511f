"""The process pool, as long as the service runs."""

from fastapi import FastAPI

from app.process_pool import ProcessPool, ProcessPoolSettings
from app.wiring import Companions


def add_process_pool(app: FastAPI, companions: Companions) -> None:
    """Keep its processes."""
    app.state.process_pool = ProcessPool(ProcessPoolSettings())
    companions.append(app.state.process_pool.opened)
