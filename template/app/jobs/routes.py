"""Ask for a job, and ask how far it is."""

from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy import bindparam, select

from app.database import ID, Query, Reads, WriteSession
from app.errors import ProblemError
from app.idempotency import IdempotencyKey
from app.jobs.kinds import Kind, all_kinds
from app.jobs.models import Job
from app.jobs.outbox import enqueue
from app.jobs.schemas import JobCreate, JobId, JobRead

router = APIRouter(tags=["jobs"])

ONE = Query(
    select(*(getattr(Job, name) for name in JobRead.model_fields)).where(
        Job.id == bindparam("id", type_=ID)
    )
)


@router.post("/jobs", status_code=202)
async def create_job(
    new: JobCreate, key: IdempotencyKey, session: WriteSession, response: Response
) -> JobRead:
    """Ask for a job; what it was asked for is kept when this is answered."""
    kind = _public(new.kind)
    if kind is None:
        raise ProblemError(422, "There is no such kind of job.")
    try:
        arguments = kind.arguments.model_validate(new.arguments)
    except ValidationError as error:
        places = [
            {**entry, "loc": ("body", "arguments", *entry["loc"])} for entry in error.errors()
        ]
        raise RequestValidationError(places) from None
    job = await enqueue(session, kind, arguments, key)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobRead.model_validate(job)


@router.get("/jobs/{job_id}")
async def get_job(job_id: JobId, reads: Reads) -> JobRead:
    """Return a job as its row has it, how far it is included."""
    row = await reads.one(ONE, id=job_id)
    if row is None or _public(row["kind"]) is None:
        raise ProblemError(404, f"There is no job {job_id}.")
    return JobRead.model_validate(row)


def _public(name: str) -> Kind | None:
    kind = all_kinds().get(name)
    return kind if kind is not None and kind.public else None
