"""Where the template and its released versions are found.

A release is one file, `releases/X.Y.Z.zip`, made once from copier.yml, changes.yml and template/
and never changed again; `releases/ledger.json` has the SHA-256 of each. In a checkout the
working tree is a release too, named `development`.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.version import Version
from pathspec import GitIgnoreSpec

from fastperf_new import changes
from fastperf_new.answers import FILE
from fastperf_new.changes import Changes
from fastperf_new.errors import RefusedError, WrongInputError
from fastperf_new.questions import Answers, Questionnaire, nearest

# What `_src_path` says. It cannot resolve: the template has no public home yet, and a
# name that someone else may come to own would let them run code in our users' projects.
ADDRESS = "https://fastperf-new.invalid/template.git"
ADDRESSES = frozenset({ADDRESS})  # every address ever used

# What installs the command, in a clone. No package index has it under a name of ours.
INSTALL = "pip install ."

DEVELOPMENT = "development"
FOLDER = Path(__file__).parent / "releases"
LEDGER = FOLDER / "ledger.json"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can hold


@dataclass(frozen=True)
class Release:
    """One version of the template."""

    version: str  # X.Y.Z, or `development`
    content: bytes  # a zip file of copier.yml, template/ and, since 0.9.0, changes.yml

    @property
    def commit(self) -> str:
        """What a project's answers file says in `_commit`: the tag of the release."""
        return self.version if self.version == DEVELOPMENT else f"v{self.version}"

    @cached_property
    def questionnaire(self) -> Questionnaire:
        """The questions of this release."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return Questionnaire(archive.read("copier.yml").decode())

    @cached_property
    def changes(self) -> Changes:
        """What moved and got another name since the release before.

        Raises:
            RefusedError: when the list is damaged.
        """
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            if changes.FILE not in archive.namelist():
                return Changes()
            text = archive.read(changes.FILE).decode()
        try:
            return changes.read(text)
        except changes.ChangesError as error:
            raise RefusedError(f"Release {self.version}: {error}") from None

    @cached_property
    def all_paths(self) -> set[str]:
        """The files that renders of this release can have."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            names = [name for name in archive.namelist() if name.startswith("template/")]
        return {path_of(name) for name in names}

    @cached_property
    def sources(self) -> dict[str, str]:
        """The texts of the template by the path that each has in a project."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            return {
                path_of(name): archive.read(name).decode(errors="replace")
                for name in archive.namelist()
                if name.startswith("template/")
            }

    def paths(self, answers: Answers) -> set[str]:
        """Return the files that a render with complete answers has, without rendering."""
        excluded = GitIgnoreSpec.from_lines(self.questionnaire.left_out(answers))
        return {path for path in self.all_paths if not excluded.match_file(path)}

    def unpack(self, folder: Path) -> None:
        """Write copier.yml, changes.yml and template/ into a folder."""
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            for member in archive.infolist():
                path = Path(archive.extract(member, folder))
                path.chmod(member.external_attr >> 16)


def path_of(name: str) -> str:
    """Return the path in a project of a file of the template."""
    path = name.removeprefix("template/")
    return FILE if path.startswith("{{") else path.removesuffix(".jinja")


def pack(root: Path) -> bytes:
    """Pack the template of a checkout, the same bytes for the same files.

    Files that editors, linters and Python leave behind are not part of it.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        own = [root / "copier.yml", root / changes.FILE]
        for path in sorted([*filter(Path.is_file, own), *(root / "template").rglob("*")]):
            relative = path.relative_to(root)
            left_over = any(
                part in {"__pycache__", ".venv"} or part.endswith("_cache")
                for part in relative.parts
            )
            if path.is_dir() or left_over:
                continue
            member = zipfile.ZipInfo(relative.as_posix(), _EPOCH)
            member.create_system = 3  # Unix: the file mode below counts
            executable = path.stat().st_mode & 0o100
            member.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(member, path.read_bytes())
    return content.getvalue()


def read_ledger() -> dict[str, str]:
    """Return the SHA-256 of every release, by version, the oldest first."""
    ledger: dict[str, str] = json.loads(LEDGER.read_text(encoding="utf-8"))
    return dict(sorted(ledger.items(), key=lambda entry: Version(entry[0])))


def checkout() -> Path | None:
    """Return the root of the checkout that this package runs from, None for an installed one."""
    root = Path(__file__).parent.parent.parent
    return root if (root / "copier.yml").is_file() and (root / "template").is_dir() else None


def versions() -> list[str]:
    """Return the versions at hand, the oldest first, `development` excepted."""
    return list(read_ledger())


def latest() -> Release:
    """Return the newest release."""
    return get(versions()[-1])


def current() -> Release:
    """Return what a new project is made from: the newest release, or the working tree.

    A working tree that holds just what was released last is that release.
    """
    if root := checkout():
        content = pack(root)
        if not versions() or _rendered_from(content) != _rendered_from(latest().content):
            return Release(DEVELOPMENT, content)
    return latest()


def _rendered_from(content: bytes) -> dict[str, tuple[int, bytes]]:
    """Return what a release is rendered from: all of it but its list of changes."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {
            member.filename: (member.external_attr, archive.read(member))
            for member in archive.infolist()
            if member.filename != changes.FILE
        }


def after(version: str, release: Release) -> list[Release]:
    """Return the releases after a version up to one of them, in order."""
    known = versions()
    between = known[known.index(version) + 1 :] if version in known else []
    if release.version in between:
        between = between[: between.index(release.version)]
    elif release.version != DEVELOPMENT:
        between = []
    return [*map(get, between), release]


def get(version: str) -> Release:
    """Return one release.

    Raises:
        WrongInputError: when there is no such release.
        RefusedError: when its file is not the one that was released.
    """
    root = checkout()
    if version == DEVELOPMENT and root:
        return Release(DEVELOPMENT, pack(root))
    ledger = read_ledger()
    if version not in ledger:
        raise WrongInputError(f"There is no release {version!r}: {nearest(version, list(ledger))}")
    content = (FOLDER / f"{version}.zip").read_bytes()
    if hashlib.sha256(content).hexdigest() != ledger[version]:
        raise RefusedError(
            f"The file of release {version} is damaged: get it from git, or run `{INSTALL}`"
            " in an undamaged clone."
        )
    return Release(version, content)


def complaints(release: Release) -> list[str]:
    """Return what a release's list of changes has wrong, measured by the newest one before it."""
    switches = [question.key for question in release.questionnaire.all if question.hidden]
    return list(changes.complaints(release.changes, latest().sources, release.sources, switches))
