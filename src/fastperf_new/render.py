"""A hermetic render: the same release and answers give the same files on any machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fastperf_new import answers as record
from fastperf_new.errors import RefusedError
from fastperf_new.questions import Answers
from fastperf_new.releases import ADDRESS, Release


@contextmanager
def _nothing_on_path() -> Iterator[None]:
    """Keep Copier from finding git: it would start one per file (100 files: 1.4 s, not 0.7 s)."""
    from plumbum import local  # noqa: PLC0415  (as slow to import as Copier)

    with local.env(PATH=""):
        yield


def render(release: Release, answers: Answers, folder: Path) -> None:
    """Render a release with complete answers into a folder that is empty or not there.

    Raises:
        RefusedError: when Copier cannot render it.
    """
    from copier import Settings, run_copy  # noqa: PLC0415  (half a second)
    from copier.errors import CopierError  # noqa: PLC0415

    with (
        TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as template,
        _nothing_on_path(),
    ):
        release.unpack(Path(template))
        try:
            run_copy(
                template,
                folder,
                data=dict(answers),
                defaults=True,
                quiet=True,
                settings=Settings(),  # the user's own must not leak in
            )
        except (CopierError, ValueError) as error:
            raise RefusedError(f"Release {release.version} cannot be rendered: {error}") from error
    record.write_record(folder / record.FILE, ADDRESS, release.commit)


def files(folder: Path) -> list[str]:
    """Return the files below a folder, as sorted paths with forward slashes."""
    return sorted(
        (Path(parent) / name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
    )
