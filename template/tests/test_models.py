"""The tables that the models describe are fit for what is asked of them."""

from collections.abc import Iterator

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, UniqueConstraint

import app.main  # noqa: F401  (imports every model)
from app.database import Base


def complaints(metadata: MetaData) -> Iterator[str]:
    """Find foreign keys without an index, which no database adds, and indexes for nothing."""
    for table in metadata.tables.values():
        unique = [list(table.primary_key.columns)]
        unique += [
            list(constraint.columns)
            for constraint in table.constraints
            if isinstance(constraint, UniqueConstraint)
        ]
        indexes = [list(index.columns) for index in table.indexes]
        for key in table.foreign_key_constraints:
            columns = list(key.columns)
            if not any(index[: len(columns)] == columns for index in unique + indexes):
                yield f"no index covers the foreign key {table.name}.{columns[0].name}"
        for index in indexes:
            if index in unique or indexes.count(index) > 1:
                yield f"the index on {table.name}.{index[0].name} is there already"


def test_relationships_are_loaded_on_purpose_or_not_at_all() -> None:
    for mapper in Base.registry.mappers:
        for relationship in mapper.relationships:
            assert relationship.lazy == "raise", relationship


def test_the_models_are_fit() -> None:
    assert list(complaints(Base.metadata)) == []


def test_what_is_not_fit_is_found() -> None:
    metadata = MetaData()
    Table("parents", metadata, Column("id", Integer, primary_key=True, index=True))
    Table(
        "children",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("parent_id", ForeignKey("parents.id")),
        Column("second_id", ForeignKey("parents.id"), index=True),
        Column("third_id", ForeignKey("parents.id")),
        Index("covers_third", "third_id", "id"),
    )

    assert list(complaints(metadata)) == [
        "the index on parents.id is there already",
        "no index covers the foreign key children.parent_id",
    ]
