"""What the example feature asks other services for."""

from fastapi import FastAPI

from app.items import suppliers
from app.wiring import Companions


def add_suppliers(app: FastAPI, _: Companions) -> None:
    """Serve suppliers' offers."""
    app.include_router(suppliers.router)
