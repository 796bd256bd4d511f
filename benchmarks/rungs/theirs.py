"""(c) Items in a project of fastapi_template, written as that project writes its own example.

`ladder.py` puts it into the project as `theirs/web/api/items.py`.
"""

from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator
from sqlalchemy import DateTime, ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship, selectinload
from theirs.db.base import Base
from theirs.db.dependencies import get_db_session


class OwnerModel(Base):
    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class ItemModel(Base):
    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    quantity: Mapped[int]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    owner: Mapped[OwnerModel | None] = relationship()
    tags: Mapped[list["TagModel"]] = relationship()


class TagModel(Base):
    __tablename__ = "tags"

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class OwnerDTO(BaseModel):
    id: int
    name: str
    model_config = ConfigDict(from_attributes=True)


class ItemDTO(BaseModel):
    id: int
    name: str
    quantity: int
    owner: OwnerDTO | None
    tags: list[str]
    created_at: datetime
    model_config = ConfigDict(from_attributes=True)

    @field_validator("tags", mode="before")
    @classmethod
    def names(cls, tags: Any) -> list[str]:
        return sorted(getattr(tag, "name", tag) for tag in tags)


class PageDTO(BaseModel):
    results: list[ItemDTO]
    next_cursor: str | None


KEY = TypeAdapter(tuple[datetime, int])


class ItemDAO:
    def __init__(self, session: AsyncSession = Depends(get_db_session)) -> None:
        self.session = session

    async def get(self, item_id: int) -> ItemModel | None:
        raw = await self.session.execute(
            select(ItemModel)
            .options(joinedload(ItemModel.owner), selectinload(ItemModel.tags))
            .where(ItemModel.id == item_id),
        )
        return raw.scalar_one_or_none()

    async def get_all(self, limit: int, offset: int) -> list[ItemModel]:
        raw = await self.session.execute(
            select(ItemModel)
            .options(joinedload(ItemModel.owner), selectinload(ItemModel.tags))
            .order_by(ItemModel.created_at.desc(), ItemModel.id.desc())
            .limit(limit)
            .offset(offset),
        )
        return list(raw.scalars().fetchall())


router = APIRouter()


@router.get("", response_model=PageDTO)
async def get_items(limit: int = 20, offset: int = 0, item_dao: ItemDAO = Depends()) -> Any:
    rows = await item_dao.get_all(limit=limit, offset=offset)
    key = KEY.dump_json((rows[-1].created_at, rows[-1].id))
    return {"results": rows, "next_cursor": urlsafe_b64encode(key).decode().rstrip("=")}


@router.get("/{item_id}", response_model=ItemDTO)
async def get_item(item_id: int, item_dao: ItemDAO = Depends()) -> Any:
    item = await item_dao.get(item_id)
    if item is None:
        raise HTTPException(status_code=404)
    return item
