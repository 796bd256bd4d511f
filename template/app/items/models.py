"""The tables of items, of their owners and of their tags."""

from datetime import UTC, datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database import ID, Base, UTCDateTime


class Owner(Base):
    """Somebody to whom items belong."""

    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))


class Item(Base):
    """A thing that can be counted."""

    __tablename__ = "items"
    # Covers the list's ORDER BY, so a page costs the same at any depth.
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    quantity: Mapped[int]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=lambda: datetime.now(UTC))

    # lazy="raise": what a route needs it has to ask for, in one query and not in one per row.
    owner: Mapped[Owner | None] = relationship(lazy="raise")
    tags: Mapped[list["Tag"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", passive_deletes=True
    )


class Tag(Base):
    """A word that an item can be found by."""

    __tablename__ = "tags"

    # Together the primary key, which also is the foreign key's index.
    item_id: Mapped[int] = mapped_column(
        ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(50), primary_key=True)
