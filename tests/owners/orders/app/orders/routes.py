"""The endpoints."""

from fastapi import APIRouter, Response

from app.database import Reads, WriteSession
from app.errors import ProblemError
from app.fields import Id
from app.items.models import Item
from app.jobs.outbox import enqueue
from app.orders import queries
from app.orders.models import Order
from app.orders.schemas import OrderCreate, OrderRead
from app.orders.work import INVOICE, InvoiceArguments
from app.pagination import Page, PageQuery

router = APIRouter(tags=["orders"])


@router.get("/orders/{order_id}")
async def get_order(order_id: Id, reads: Reads) -> OrderRead:
    """Return one order."""
    order = await queries.get(reads, order_id)
    if order is None:
        raise ProblemError(404, f"There is no order {order_id}.")
    return order


@router.get("/orders")
async def list_orders(page: PageQuery, reads: Reads) -> Page[OrderRead]:
    """List orders, newest first."""
    orders, next_cursor = await queries.page(reads, page.limit, page.cursor)
    return Page(results=orders, next_cursor=next_cursor)


@router.post("/orders", status_code=201)
async def create_order(new: OrderCreate, session: WriteSession, response: Response) -> OrderRead:
    """Create an order, and ask for its invoice."""
    if await session.get(Item, new.item_id) is None:
        raise ProblemError(422, f"There is no item {new.item_id}.")
    order = Order(item_id=new.item_id, amount=new.amount)
    session.add(order)
    await session.flush()
    job = await enqueue(session, INVOICE, InvoiceArguments(order_id=order.id))
    response.headers["Location"] = f"/orders/{order.id}"
    response.headers["X-Job"] = str(job.id)
    return OrderRead.model_validate(order)
