"""What clients send and get."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.fields import Id

JobId = Id


class JobCreate(BaseModel):
    """A new job; its arguments are as its kind has them."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=100)
    arguments: dict[str, Any] = {}


class JobRead(BaseModel):
    """A job as clients see it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    attempts: int
    progress: float
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None
