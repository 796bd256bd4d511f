"""Putting a new project into place: all of it or nothing.

The project is made in a hidden folder on the file system of its destination, then renamed.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

from fastperf_new.deferring import deferred
from fastperf_new.errors import NotReadyError, RefusedError

_SUFFIX = ".fastperf"

# What another place has an answer to; anything else is a failure of this one.
_UNFIT = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP),
}


def check_destination(folder: Path, own: Path | None = None) -> None:
    """Refuse a destination, an absolute path, that holds anything but a fresh `.git`.

    Args:
        own: the hidden folder of this run, which may be there too.

    Raises:
        NotReadyError: when it does, or cannot be used.
    """
    try:
        for parent in (folder, *folder.parents):
            if os.path.lexists(parent) and not parent.is_dir():
                raise NotReadyError(f"{parent} is a file: choose another place for the project.")
        names = set(os.listdir(folder)) if folder.is_dir() else set()
    except OSError as error:
        raise refusal(folder, error) from None
    names -= {".git", own.name if own else ""}
    for name in sorted(names):
        if name.startswith(".") and name.endswith(_SUFFIX):
            raise NotReadyError(
                f"{folder} is not empty: a fastperf new that was interrupted, or still runs, put"
                f" {name} there, and may have put more: remove that, then try again."
            )
    if names:
        raise NotReadyError(f"{folder} is not empty: choose another place for the project.")


def refusal(folder: Path, error: OSError) -> RefusedError:
    """Return the sentence about a destination that cannot be read or written."""
    reason = error.strerror or str(error)
    if error.filename and Path(os.fsdecode(error.filename)) != folder:
        reason += f" ({os.fsdecode(error.filename)})"
    if error.errno in _UNFIT:
        return NotReadyError(
            f"{folder} cannot be made: {reason}: choose another place for the project."
        )
    return RefusedError(f"{folder} cannot be written: {reason}: mend that, then try again.")


class Stage:
    """A hidden folder in which a project is made, and its way to the destination.

    It lies beside a destination that does not exist yet, so that one rename puts the project
    into place. It lies inside an existing one, which may be on a file system of its own, or
    below a folder that we may not write to.

    Attributes:
        placed: whether the project is at its destination.
    """

    def __init__(self, folder: Path) -> None:
        self.placed = False
        self._folder = folder
        self._inside = False
        self._hidden: Path | None = None
        self._parents: list[Path] = []  # those made here, the outermost first
        self._moved: list[str] = []  # names of what is in an existing destination already

    def open(self) -> Path:
        """Make the hidden folder, and return the path in it at which to make the project."""
        self._inside = self._folder.exists()
        for parent in reversed(self._folder.parents):
            if not parent.exists():
                with deferred(), suppress(FileExistsError):  # another process may be faster
                    parent.mkdir()
                    self._parents.append(parent)
        where = self._folder if self._inside else self._folder.parent
        with deferred():
            prefix = f".{self._folder.name[:100]}."
            self._hidden = Path(mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=where))
        return self._hidden / "project"

    def place(self) -> None:
        """Move the project to its destination.

        Raises:
            NotReadyError: when the destination is no longer empty.
        """
        assert self._hidden  # noqa: S101  (opened before)
        check_destination(self._folder, own=self._hidden)
        made = self._hidden / "project"
        if not self._inside:
            with deferred():
                made.rename(self._folder)
                self.placed = True
            return
        for name in sorted(os.listdir(made)):
            if os.path.lexists(self._folder / name):
                raise NotReadyError(f"{self._folder / name} is in the way: move it first.")
            with deferred():
                (made / name).rename(self._folder / name)
                self._moved.append(name)
        self.placed = True

    def clean(self) -> None:
        """Remove the hidden folder, and everything else that was made unless it is in place.

        Never fails: see `left`. Can be repeated, after a signal that stopped it.
        """
        if not self._hidden:
            self._remove_parents()
            return
        if not self.placed:
            for name in reversed(self._moved):
                with suppress(OSError):
                    (self._folder / name).rename(self._hidden / "project" / name)
        shutil.rmtree(self._hidden, ignore_errors=True)
        if not self.placed:
            self._remove_parents()

    def _remove_parents(self) -> None:
        for parent in reversed(self._parents):
            with suppress(OSError):  # one that is not empty stays
                parent.rmdir()

    def left(self) -> list[Path]:
        """Return what could not be removed."""
        moved = [] if self.placed else [self._folder / name for name in self._moved]
        hidden = [self._hidden] if self._hidden else []
        return [path for path in (*hidden, *moved) if os.path.lexists(path)]
