"""Faults of the example, items."""

from fastperf_new.questions import Answers
from tests.faults.fault import EACH, SERVERS, Databases, Fault

ANSWERS: Answers = {}
DATABASES: Databases = ("sqlite",)
FAULTS = [
    Fault(
        "app/items/models.py",
        '(Index(None, "created_at", "id"),)',
        "()",
        "walk_an_index or migrations_agree",
        EACH,
    ),
    Fault(
        "app/items/models.py",
        'relationship(lazy="raise")',
        'relationship(lazy="select")',
        "relationships",
        EACH,
    ),
    Fault(
        "app/items/queries.py",
        "Item.owner_id,\n",
        'Item.owner_id,\n    (Item.id + 0).label("more"),\n',
        "name_their_columns",
        EACH,
    ),
    Fault(
        "app/items/queries.py",
        'for tag in await reads.all(TAGS, items=[row["id"] for row in rows]):',
        'for tag in [t for row in rows for t in await reads.all(TAGS, items=[row["id"]])]:',
        "any_number_of_rows",
        EACH,
    ),
    Fault("app/items/queries.py", "PAGE, limit=limit + 1)", "PAGE, limit=limit)", "met_once", EACH),
    Fault(
        "app/items/queries.py",
        "limit=limit + 1, created_at",
        "limit=limit, created_at",
        "met_once",
        EACH,
    ),
    Fault(
        "app/items/queries.py", "Item.id > bindparam", "Item.id >= bindparam", "batch_follows", EACH
    ),
    Fault(
        "app/items/queries.py",
        "raise failed.exceptions[0] from None",
        "raise",
        "first_error_is_the_answer",
        EACH,
    ),
    # On SQLite, one transaction at a time may write, whatever it locks.
    Fault(
        "app/items/routes.py",
        "with_for_update=True",
        "with_for_update=None",
        "changes_at_once",
        SERVERS,
    ),
    Fault("app/items/routes.py", "if owner is None:", "if False:", "a_real_one", EACH),
    Fault(
        "app/wiring/items.py",
        '"/items/{item_id}": routes.get_item',
        '"/item/{item_id}": routes.get_item',
        "a_hot_route_is_the_route",
    ),
    Fault(
        "app/items/models.py",
        "quantity: Mapped[int]",
        "amount: Mapped[int]\n    quantity: Mapped[int]",
        "migrations_agree",
    ),
    Fault(
        "app/items/queries.py",
        "AfterValidator(lambda moment: moment.astimezone(UTC))",
        "None",
        "forged_cursor",
    ),
    Fault(
        "app/items/schemas.py",
        "name: Name | MISSING = MISSING",
        "name: Name | None = None",
        "invalid_change",
    ),
    Fault(
        "app/items/schemas.py",
        'extra="forbid")\n\n    name: Name |',
        'extra="ignore")\n\n    name: Name |',
        "invalid_change",
    ),
    Fault(
        "app/items/schemas.py",
        'extra="forbid")\n\n    name: Name\n    quantity',
        'extra="ignore")\n\n    name: Name\n    quantity',
        "invalid_item",
    ),
    Fault(
        "app/items/schemas.py",
        'extra="forbid")\n\n    name: Name\n\n',
        'extra="ignore")\n\n    name: Name\n\n',
        "invalid_owner",
    ),
    Fault("app/items/routes.py", " -> Page[ItemRead]", "", "every_answer_has_a_schema"),
    Fault(
        "app/items/routes.py",
        "if_match.check(_read(item))\n    for",
        "for",
        "of_two_changes_of_one_version",
    ),
    Fault(
        "app/items/routes.py",
        "if_match.check(_read(item))\n    await session.delete",
        "await session.delete",
        "of_two_changes_of_one_version",
    ),
]
