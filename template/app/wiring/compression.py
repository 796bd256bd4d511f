"""Compression: the innermost middleware, so that all others see whole answers."""

import gzip
from functools import partial

from fastapi import FastAPI

from app.compression import Compression, CompressionSettings
from app.etags import CODINGS
from app.wiring import Companions


def add_compression(app: FastAPI, _: Companions) -> None:
    """Compress what the routes answer."""
    settings = CompressionSettings()
    CODINGS["gzip"] = partial(gzip.compress, compresslevel=settings.level, mtime=0)
    app.add_middleware(Compression, settings=settings)
