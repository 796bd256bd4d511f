"""Compression: the innermost middleware, so that all others see whole answers."""

from fastapi import FastAPI

from app.compression import Compression, CompressionSettings
from app.wiring import Companions


def add_compression(app: FastAPI, _: Companions) -> None:
    """Compress what the routes answer."""
    app.add_middleware(Compression, settings=CompressionSettings())
