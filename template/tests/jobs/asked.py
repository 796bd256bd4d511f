"""A job as its client sees it."""

import asyncio

from httpx2 import AsyncClient

from app.jobs.schemas import JobRead
from tests.waiting import HANG


async def finished(client: AsyncClient, where: str) -> JobRead:
    """Ask for a job until it has come to its end."""
    async with asyncio.timeout(HANG):
        while True:
            job = JobRead.model_validate((await client.get(where)).json())
            if job.state in ("done", "failed"):
                return job
            await asyncio.sleep(0.02)
