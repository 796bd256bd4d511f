"""(a) The limit: an ASGI callable with prepared statements on asyncpg and orjson, and nothing else."""

import os
from base64 import urlsafe_b64encode
from collections import defaultdict
from typing import Any

import asyncpg
import orjson

ONE = """
SELECT items.id, items.name, items.quantity, items.created_at, items.owner_id, owners.name AS owner_name,
       tags.name AS tag
  FROM items LEFT JOIN owners ON owners.id = items.owner_id LEFT JOIN tags ON tags.item_id = items.id
 WHERE items.id = $1
"""
PAGE = """
SELECT items.id, items.name, items.quantity, items.created_at, items.owner_id, owners.name AS owner_name
  FROM items LEFT JOIN owners ON owners.id = items.owner_id
 ORDER BY items.created_at DESC, items.id DESC
 LIMIT $1
"""
TAGS = "SELECT item_id, name FROM tags WHERE item_id = ANY ($1)"

free: list[tuple[Any, Any, Any, Any]] = []


def item(row: Any, tags: list[str]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "quantity": row["quantity"],
        "owner": row["owner_id"] and {"id": row["owner_id"], "name": row["owner_name"]},
        "tags": sorted(tags),
        "created_at": row["created_at"],
    }


def dump(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


async def one(item_id: int) -> bytes:
    connection, get, page, tags = free.pop()
    rows = await get.fetch(item_id)
    free.append((connection, get, page, tags))
    return dump(item(rows[0], [row["tag"] for row in rows if row["tag"] is not None]))


async def page(limit: int) -> bytes:
    connection, get, first, tagged = free.pop()
    rows = await first.fetch(limit + 1)
    tags = defaultdict(list)
    for tag in await tagged.fetch([row["id"] for row in rows[:limit]]):
        tags[tag["item_id"]].append(tag["name"])
    free.append((connection, get, first, tagged))
    last = rows[limit - 1]
    cursor = urlsafe_b64encode(dump([last["created_at"], last["id"]])).decode().rstrip("=")
    return dump({"results": [item(r, tags[r["id"]]) for r in rows[:limit]], "next_cursor": cursor})


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
        for _ in range(16):  # one for each client
            connection = await asyncpg.connect(url)
            free.append((connection, *[await connection.prepare(sql) for sql in (ONE, PAGE, TAGS)]))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    body = await (page(20) if path == "/items" else one(int(path[7:])))
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
