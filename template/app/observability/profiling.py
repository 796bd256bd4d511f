"""A profile of one request, in development: add `profile` to its query and open it in a browser."""

from urllib.parse import parse_qs

from anyio import to_thread
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ProblemResponse
from app.guard import NO_CONTENT, NO_FRAMES, NO_SNIFFING


class Profiler:
    """Answers a request whose query has `profile` with where its time went.

    It sees every layer further in, and is only there in development: anyone may ask for it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"").decode("latin-1")
        if scope["type"] != "http" or "profile" not in parse_qs(query, keep_blank_values=True):
            await self.app(scope, receive, send)
            return
        try:
            from pyinstrument import Profiler as Sampler  # noqa: PLC0415  (for development only)
        except ImportError:
            problem = ProblemResponse(501, "pyinstrument is not installed: uv sync installs it.")
            problem.raw_headers += [NO_SNIFFING, NO_CONTENT]
            await problem(scope, receive, send)
            return

        async def swallow(_: Message) -> None:
            """The profile is the answer."""

        with Sampler(async_mode="enabled") as sampler:
            await self.app(scope, receive, swallow)
        page = await to_thread.run_sync(sampler.output_html)
        response = HTMLResponse(page)
        response.raw_headers += [NO_SNIFFING, NO_FRAMES]
        await response(scope, receive, send)
