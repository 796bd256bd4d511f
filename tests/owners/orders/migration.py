"""Create the table of orders.

Revision ID: 1001_orders
"""

import sqlalchemy as sa
from alembic import op

from app.database import ID, UTCDateTime

revision = "1001_orders"
down_revision = "HEAD"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", ID, nullable=False),
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_orders_item_id_items")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_item_id"), "orders", ["item_id"])
    op.create_index(op.f("ix_orders_created_at_id"), "orders", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("orders")
