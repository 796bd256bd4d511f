"""What clients send and get."""

from datetime import datetime
from typing import Annotated

from pydantic import MISSING, AfterValidator, BaseModel, ConfigDict, Field

from app.fields import Id, Text

ItemId = Id
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Quantity = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
TagName = Annotated[str, Field(max_length=50, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
TagNames = Annotated[
    list[TagName], Field(max_length=20), AfterValidator(lambda tags: sorted({*tags}))
]


class OwnerCreate(BaseModel):
    """A new owner."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class OwnerRead(BaseModel):
    """An owner as clients see it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str


class ItemCreate(BaseModel):
    """A new item."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    quantity: Quantity = 0
    owner_id: Id | None = None
    tags: TagNames = []


class ItemUpdate(BaseModel):
    """The fields to change; a field left out stays, and null is not a value."""

    model_config = ConfigDict(extra="forbid")

    name: Name | MISSING = MISSING
    quantity: Quantity | MISSING = MISSING
    tags: TagNames | MISSING = MISSING


class ItemRead(BaseModel):
    """An item as clients see it."""

    id: int
    name: str
    quantity: int
    owner: OwnerRead | None
    tags: list[str]
    created_at: datetime


class OwnerStats(BaseModel):
    """What an owner has."""

    owner: str
    quantity: int


class TagStats(BaseModel):
    """How many items have a tag."""

    tag: str
    items: int


class ItemStats(BaseModel):
    """All items in a few numbers."""

    items: int
    quantity: int
    owners: list[OwnerStats]
    tags: list[TagStats]
