"""What all models share."""

from enum import Enum as PythonEnum
from typing import Any, ClassVar, Literal

from sqlalchemy import Enum, MetaData
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base of all models; named constraints keep migrations repeatable."""

    # Strings, checked in Python: a new member needs no migration. A type of the database's own
    # would need one that autogenerate does not write.
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        kind: Enum(PythonEnum, native_enum=False, length=50) for kind in (PythonEnum, Literal)
    }

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
