"""Metrics: `/metrics`, and what watches the service for it."""

from fastapi import FastAPI

from app.guard import BY_ADDRESS
from app.metrics import prometheus
from app.wiring import Companions


def add_metrics(app: FastAPI, companions: Companions) -> None:
    """Measure the service."""
    prometheus.add_metrics(app)
    BY_ADDRESS.add("/metrics")  # as Prometheus asks the workers of a cluster
    companions.append(prometheus.watch)
