"""The example feature: its routes, and which of them is hot."""

from fastapi import FastAPI

from app.hot import HotRoutes
from app.items import routes
from app.wiring import Companions


def add_items(app: FastAPI, _: Companions) -> None:
    """Serve items."""
    app.include_router(routes.router)
    app.add_middleware(HotRoutes, routes={"/items/{item_id}": routes.get_item})
