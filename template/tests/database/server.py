"""The server that the tests' database is on."""

import os

import pytest
from sqlalchemy import make_url


def url_of_tests(default: str) -> str:
    """Return TEST_DATABASE_URL, or the database that the script in `scripts/` starts."""
    url = os.environ.get("TEST_DATABASE_URL", default)
    if "test" not in (make_url(url).database or ""):
        pytest.exit("TEST_DATABASE_URL must name a database called test: its tables are dropped.")
    return url
