"""The jobs of this feature: a report over all items."""

from pydantic import BaseModel, ConfigDict

from app.items.queries import BATCH, TOTALS
from app.items.schemas import Quantity
from app.jobs.attempt import Work
from app.jobs.kinds import Kind

ROWS = 1000  # that are read at once


class ReportArguments(BaseModel):
    """What the report is about."""

    model_config = ConfigDict(extra="forbid")

    minimum: Quantity = 0  # items with less are left out


class Report(BaseModel):
    """The items in a few numbers."""

    items: int
    quantity: int
    without_owner: int


def report(work: Work, arguments: ReportArguments) -> Report:
    """Go through all items, a batch at a time.

    Each batch is a read of its own, so nothing is held meanwhile; run again, it begins anew.
    """
    (totals,) = work.read(TOTALS)
    found = Report(items=0, quantity=0, without_owner=0)
    seen = last = 0
    while rows := work.read(BATCH, last=last, limit=ROWS):
        last = rows[-1]["id"]
        for row in rows:
            if row["quantity"] >= arguments.minimum:
                found.items += 1
                found.quantity += row["quantity"]
                found.without_owner += row["owner_id"] is None
        seen += len(rows)
        work.progress(seen / max(totals["items"], seen))
    return found


KINDS = [Kind("item-report", report, ReportArguments, queue="long", public=True)]
