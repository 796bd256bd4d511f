"""(b) The usual recipe: a session per request that commits, entities, pre-ping, a middleware for the time."""

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.middleware.gzip import GZipMiddleware
from pydantic import BaseModel, ConfigDict, TypeAdapter, field_validator
from sqlalchemy import DateTime, ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    quantity: Mapped[int]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    owner: Mapped[Owner | None] = relationship()
    tags: Mapped[list["Tag"]] = relationship()


class Tag(Base):
    __tablename__ = "tags"
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


class OwnerRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: str


class ItemRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: str
    quantity: int
    owner: OwnerRead | None
    tags: list[str]
    created_at: datetime

    @field_validator("tags", mode="before")
    @classmethod
    def names(cls, tags: Any) -> list[str]:
        return sorted(getattr(tag, "name", tag) for tag in tags)


class Page(BaseModel):
    results: list[ItemRead]
    next_cursor: str | None


KEY = TypeAdapter(tuple[datetime, int])


def cursor_of(item: Item) -> str:
    return urlsafe_b64encode(KEY.dump_json((item.created_at, item.id))).decode().rstrip("=")


engine = create_async_engine(os.environ["DATABASE_URL"], pool_pre_ping=True, pool_size=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session
        await session.commit()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.add_middleware(GZipMiddleware)
Session = Annotated[AsyncSession, Depends(get_session)]
whole = select(Item).options(joinedload(Item.owner), selectinload(Item.tags))


@app.middleware("http")
async def timing(request: Request, call_next: Any) -> Any:
    started = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = str(time.perf_counter() - started)
    return response


@app.get("/items", response_model=Page)
async def list_items(session: Session, limit: int = 20, offset: int = 0) -> Any:
    newest = whole.order_by(Item.created_at.desc(), Item.id.desc())
    rows = (await session.execute(newest.limit(limit).offset(offset))).scalars().all()
    return {"results": rows, "next_cursor": cursor_of(rows[-1])}


@app.get("/items/{item_id}", response_model=ItemRead)
async def get_item(item_id: int, session: Session) -> Any:
    item = (await session.execute(whole.where(Item.id == item_id))).scalar_one_or_none()
    if item is None:
        raise HTTPException(404)
    return item
