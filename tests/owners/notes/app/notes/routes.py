"""The endpoints."""

from fastapi import APIRouter

from app.database import WriteSession
from app.errors import ProblemError
from app.notes.models import Note
from app.notes.schemas import NoteCreate, NoteRead
from app.pagination import pages_of  # the owner's own function
from app.settings import Settings

router = APIRouter(prefix="/notes", tags=["notes"])

LIMIT = Settings().notes_limit


@router.post("", status_code=201)
async def create_note(new: NoteCreate, session: WriteSession) -> NoteRead:
    """Create a note."""
    if pages_of(len(new.text), LIMIT) > 1:
        raise ProblemError(422, f"A note has at most {LIMIT} characters.")
    note = Note(text=new.text)
    session.add(note)
    await session.flush()
    return NoteRead.model_validate(note)


@router.get("/{note_id}")
async def get_note(note_id: int, session: WriteSession) -> NoteRead:
    """Return a note."""
    note = await session.get(Note, note_id)
    if note is None:
        raise ProblemError(404, f"There is no note {note_id}.")
    return NoteRead.model_validate(note)
