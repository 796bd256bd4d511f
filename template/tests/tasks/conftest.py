"""Brokers that are not well."""

import socket
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from app import tasks


@pytest.fixture
def scheme() -> str:
    """The scheme of the broker's URL."""
    (module,) = Path(tasks.__file__).parent.glob("broker_*.py")
    import_module(f"app.tasks.{module.stem}")  # here, where it holds no event loop up
    return module.stem.removeprefix("broker_")


@pytest.fixture
def silent(scheme: str) -> Iterator[str]:
    """The URL of a broker that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}//"


@pytest.fixture
def gone(scheme: str) -> str:
    """The URL of a broker that is not there."""
    return f"{scheme}://127.0.0.1:1//"
