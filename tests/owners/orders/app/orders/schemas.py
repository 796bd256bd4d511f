"""Requests and responses."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from app.fields import Id


class OrderCreate(BaseModel):
    """A new order."""

    model_config = ConfigDict(extra="forbid")

    item_id: Id
    amount: int


class OrderRead(BaseModel):
    """An order as clients see it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    item_id: int
    amount: int
    created_at: datetime
