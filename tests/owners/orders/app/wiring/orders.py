"""Orders: their routes, and which of them is hot."""

from fastapi import FastAPI

from app.hot import HotRoutes
from app.orders import routes
from app.wiring import Companions


def add_orders(app: FastAPI, _: Companions) -> None:
    """Serve orders."""
    app.include_router(routes.router)
    app.add_middleware(HotRoutes, routes={"/orders/{order_id}": routes.get_order})
