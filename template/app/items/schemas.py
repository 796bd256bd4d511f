"""What clients send and get."""

from datetime import datetime
from typing import Annotated

from fastapi import Path
from pydantic import MISSING, BaseModel, ConfigDict, Field

# The range of SQLite's INTEGER: a larger number would fail in the driver.
MAX_ID = 2**63 - 1

ItemId = Annotated[int, Path(ge=1, le=MAX_ID)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Quantity = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]


class ItemCreate(BaseModel):
    """A new item."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    quantity: Quantity = 0


class ItemUpdate(BaseModel):
    """The fields to change; a field left out stays, and null is not a value."""

    model_config = ConfigDict(extra="forbid")

    name: Name | MISSING = MISSING
    quantity: Quantity | MISSING = MISSING


class ItemRead(BaseModel):
    """An item as clients see it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    quantity: int
    created_at: datetime
