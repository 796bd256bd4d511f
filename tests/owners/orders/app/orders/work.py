"""The jobs of the feature."""

from pydantic import BaseModel

from app.jobs.attempt import Work
from app.jobs.kinds import Kind
from app.orders.queries import TOTAL


class InvoiceArguments(BaseModel):
    """The order that is invoiced."""

    order_id: int


class Invoice(BaseModel):
    """The sum of all orders at that time."""

    amount: int


def invoice(work: Work, arguments: InvoiceArguments) -> Invoice:
    """Sum up."""
    (total,) = work.read(TOTAL)
    work.progress(1)
    return Invoice(amount=total["amount"])


INVOICE = Kind("invoice", invoice, InvoiceArguments)
KINDS = [INVOICE]
