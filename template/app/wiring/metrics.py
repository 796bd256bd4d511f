"""Metrics: `/metrics`, and what watches the service for it."""

from fastapi import FastAPI

from app.metrics import prometheus
from app.wiring import Companions


def add_metrics(app: FastAPI, companions: Companions) -> None:
    """Measure the service."""
    prometheus.add_metrics(app)
    companions.append(prometheus.watch)
