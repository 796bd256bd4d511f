"""The tables that the models describe are fit for what is asked of them."""

import enum
from collections.abc import Iterator
from typing import Literal

from sqlalchemy import Column, Enum, ForeignKey, Index, Integer, MetaData, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import app.main  # noqa: F401  (imports every model)
from app.database import Base


class Mood(enum.Enum):
    GOOD = "good"


def complaints(metadata: MetaData) -> Iterator[str]:
    """Find foreign keys without an index, which no database adds, indexes for nothing, and enums
    that are types of the database's own: autogenerate writes no migration for a new member.
    """
    for table in metadata.tables.values():
        for column in table.columns:
            if isinstance(column.type, Enum) and column.type.native_enum:
                yield f"{table.name}.{column.name} needs Enum(..., native_enum=False)"
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


def test_an_enum_is_a_string_to_the_database() -> None:
    class Other(DeclarativeBase):
        metadata = MetaData()
        type_annotation_map = Base.type_annotation_map

    class Cup(Other):
        __tablename__ = "cups"
        id: Mapped[int] = mapped_column(primary_key=True)
        mood: Mapped[Mood]
        size: Mapped[Literal["small"]]

    for column in (Cup.mood, Cup.size):
        assert repr(column.type).endswith("native_enum=False, length=50)")
    assert list(complaints(Other.metadata)) == []


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
        Column("mood", Enum(Mood)),
        Index("covers_third", "third_id", "id"),
    )

    assert list(complaints(metadata)) == [
        "the index on parents.id is there already",
        "children.mood needs Enum(..., native_enum=False)",
        "no index covers the foreign key children.parent_id",
    ]
