"""The road of jobs: plain sessions without an event loop, in a thread or process of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, make_url
from sqlalchemy.orm import Session, sessionmaker

from app.database import DatabaseSettings, Query, Row, judge
from app.database.verdicts import drop_useless


class SyncDatabase:
    """Gives transactions. Make it in the process that uses it: connections do not bear a fork.

    Args:
        settings: those of the service.
        connections: that it may open.
        statement_timeout: seconds that a statement may take.
    """

    def __init__(
        self, settings: DatabaseSettings, *, connections: int, statement_timeout: float
    ) -> None:
        # The module of the database that this service was made for.
        driver: Any = import_module(
            f"app.database.sync_{make_url(settings.url).get_backend_name()}"
        )
        self.engine = driver.create_sync_engine(settings, connections, statement_timeout)
        drop_useless(self.engine, judge)
        self.sessions: sessionmaker[Session] = sessionmaker(self.engine, expire_on_commit=False)
        # Called with a session after its commit.
        self.after_commit: list[Callable[[Session], None]] = []

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection in a transaction, which ends in a commit unless there is an exception."""
        with self.engine.begin() as connection:
            yield connection

    def read(self, query: Query, **parameters: Any) -> list[Row]:
        """Return the rows of a query, from a connection that is given back at once."""
        with self.engine.connect() as connection:
            reading = connection.execution_options(only_reads=True)
            return [dict(row) for row in reading.execute(query.statement, parameters).mappings()]

    def commit(self, session: Session) -> None:
        """Commit a session of `sessions`, and tell those who want to know."""
        session.commit()
        for call in self.after_commit:
            call(session)

    def check(self) -> None:
        """Connect once.

        Raises:
            Exception: of the driver's, when it refuses the URL or the server does not answer.
        """
        with self.engine.connect():
            pass

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
