"""How each capability joins the service: a file each, which `app/main.py` goes through in order."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.database import Database

# What runs as long as the service does, beside it.
Companions = list[Callable[[Database], AbstractAsyncContextManager[object]]]
