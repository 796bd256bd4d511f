"""Requests and responses."""

from pydantic import BaseModel, ConfigDict


class NoteCreate(BaseModel):
    """A new note."""

    text: str


class NoteRead(BaseModel):
    """A note as clients see it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    text: str
