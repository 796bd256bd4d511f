"""Outbound calls: one client for all of them, as long as the service runs."""

from fastapi import FastAPI

from app.outbound import Outbound, OutboundSettings
from app.wiring import Companions


def add_outbound(app: FastAPI, companions: Companions) -> None:
    """Keep the client open."""
    app.state.outbound = Outbound(OutboundSettings())
    companions.append(app.state.outbound.opened)
