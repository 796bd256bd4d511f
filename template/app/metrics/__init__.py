"""Prometheus metrics of all workers of this service, answered by any of them."""

from app.metrics.files import share_between_workers

# Before prometheus_client is first imported: it decides then where its values live.
share_between_workers()
