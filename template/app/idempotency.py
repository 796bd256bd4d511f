"""Creates that a client may send again (`Idempotency-Key`): the key is kept with the row.

class Order(Once, Base):
    ...

@router.post("/orders", status_code=201)
async def create_order(new: OrderCreate, key: IdempotencyKey, session: WriteSession) -> OrderRead:
    order = await key.add(session, Order(size=new.size), new)  # or the row of the first time
"""

import json
from hashlib import sha256
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy import String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.errors import ProblemError

MAX_LENGTH = 255  # characters of a key


class Once:
    """The columns of a model whose rows have keys.

    Both are hashes: short, and equal only where the key is, whatever the database takes for equal.
    """

    idempotency_key: Mapped[str | None] = mapped_column(String(64), index=True, unique=True)
    idempotency_digest: Mapped[str | None] = mapped_column(String(64))  # of what came with it


Row = TypeVar("Row", bound=Once)


class Key:
    """The request's `Idempotency-Key`.

    Args:
        value: None when the request has none.
        path: of the request.
    """

    def __init__(self, value: str | None, path: str) -> None:
        self.value = value
        self.path = path

    async def add(
        self, session: AsyncSession, row: Row, *sent: BaseModel | str, client: str = ""
    ) -> Row:
        """Add a row, or return the one that an earlier request with this key added.

        Two requests at the same moment make one row: the second waits until the first commits.

        Args:
            sent: what the client sent; with the same key it has to be the same.
            client: the name of the client, where it has one; each has keys of its own.

        Raises:
            ProblemError: 422, when the key came with another request.
        """
        if self.value is None:
            session.add(row)
            await session.flush()
            return row
        row.idempotency_key = _digest(client, self.value)
        row.idempotency_digest = _digest(self.path, *sent)
        try:
            async with session.begin_nested():
                session.add(row)
            return row
        except IntegrityError:
            found = select(type(row)).where(type(row).idempotency_key == row.idempotency_key)
            # With a lock, which sees what was committed after this transaction began.
            kept = await session.scalar(found.with_for_update(read=True))
            if kept is None:  # another constraint
                raise
        if kept.idempotency_digest != row.idempotency_digest:
            raise ProblemError(422, "This Idempotency-Key came with another request.")
        return kept


def _digest(*parts: BaseModel | str) -> str:
    # Without defaults, which may differ each time.
    plain = [
        part if isinstance(part, str) else part.model_dump(mode="json", exclude_unset=True)
        for part in parts
    ]
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


async def get_key(
    request: Request, idempotency_key: Annotated[list[str] | None, Header()] = None
) -> Key:
    """Give the request's key.

    Raises:
        ProblemError: 400, when the header is empty, too long, or there twice.
    """
    values = [value.strip() for value in idempotency_key or ()]
    if len(values) > 1 or not all(0 < len(value) <= MAX_LENGTH for value in values):
        raise ProblemError(400, f"Idempotency-Key is one value of 1 to {MAX_LENGTH} characters.")
    return Key(values[0] if values else None, request.scope["path"])


IdempotencyKey = Annotated[Key, Depends(get_key)]
