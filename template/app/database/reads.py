"""The read road: static SELECTs of columns, each run alone, outside any transaction.

A read takes a connection for one statement only. So a request can neither leak one nor
hold one while it waits for another, and several reads may run at once on any pool.
"""

from collections import Counter
from typing import Any, Protocol

from sqlalchemy import Column, Label, Select
from sqlalchemy.sql.elements import ColumnClause

from app.database.gate import Gate

# One row: its columns' names and values.
Row = dict[str, Any]


class Query:
    """A SELECT of named columns, made once, at import; what varies are `bindparam`s.

    Args:
        statement: the SELECT; `IN` a list that varies is written with `any_of`.

    Raises:
        ValueError: when two columns have the same name, or one has none.
    """

    __slots__ = ("compiled", "statement")

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        columns = statement.selected_columns
        for column in columns:
            if not isinstance(column, Column | ColumnClause | Label):
                raise ValueError(f"a column has no name, give it a label: {column}")
        for name, times in Counter(column.name for column in columns).items():
            if times > 1:
                raise ValueError(f"{times} columns are named {name}: give them labels")
        self.statement = statement
        # The read road's, kept here so that it goes with a query that was made for one request.
        self.compiled: Any = None


class ReadRoad(Protocol):
    """Runs queries, as many at once as its gate lets in."""

    gate: Gate

    async def one(self, query: Query, **parameters: Any) -> Row | None:
        """Return the only row, None when there is none.

        Raises:
            MultipleResultsFound: when there are more.
            UnavailableError: when the database cannot answer now.
        """

    async def all(self, query: Query, **parameters: Any) -> list[Row]:
        """Return all rows; the query should have a LIMIT.

        Raises:
            UnavailableError: when the database cannot answer now.
        """
