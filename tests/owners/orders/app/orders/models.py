"""The table of orders."""

from datetime import UTC, datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database import ID, Base, UTCDateTime


class Order(Base):
    """So many of an item."""

    __tablename__ = "orders"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[int] = mapped_column(ID, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    amount: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=lambda: datetime.now(UTC))
