"""What the example feature computes in the process pool."""

from fastapi import FastAPI

from app.items import similar
from app.wiring import Companions


def add_similar(app: FastAPI, _: Companions) -> None:
    """Serve similar items."""
    app.include_router(similar.router)
