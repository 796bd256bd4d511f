"""Update, change and status, each a whole operation on a project."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.version import Version

from fastperf_new import answers as record
from fastperf_new import apply as applying
from fastperf_new import git, releases, repository
from fastperf_new.changes import composed
from fastperf_new.errors import NotReadyError, WrongInputError
from fastperf_new.merge import Conflict, merged
from fastperf_new.questions import Answers, Question, text_of
from fastperf_new.reconcile import Contradiction, contradictions, nearest_answer
from fastperf_new.releases import Release
from fastperf_new.render import render
from fastperf_new.repository import Repository


@dataclass(frozen=True)
class Project:
    """An existing project: what its answers file says."""

    folder: Path
    version: str
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class Updated:
    """What an update or a change did, or with `dry_run` would do."""

    folder: Path
    changed: list[str]
    version: str
    conflicts: list[Conflict]
    broken: list[str]  # imports that lead nowhere since
    left_deleted: list[str]
    moved: dict[str, str]  # the user's files that the releases moved, and where they are now
    rewritten: list[str]  # the user's own or edited files that refer to something that moved
    unsure: list[str]  # what looks like a reference to something that moved, by file and line
    unreadable: list[str]  # the user's Python files that do not parse
    notes: list[str]  # what is left to do by hand
    changes: Answers  # what a change was asked for, as far as it was not so
    new_answers: Answers  # to questions that the project had not been asked
    dropped: list[str]  # questions that are no more
    not_ignored: list[str] | None  # files that git ignored before; None when git cannot say
    diff: str
    way_back: str  # what takes it back


@dataclass(frozen=True)
class Status:
    """Where a project stands."""

    version: str
    newest: str
    answers: Mapping[str, Any]
    unfinished: bool


def find(folder: Path) -> Path:
    """Return the project that a folder is in, looking upwards in its repository; else the folder."""
    for parent in (folder, *folder.parents):
        if (parent / record.FILE).is_file():
            return parent
        if (parent / ".git").exists():
            break
    return folder


def read(folder: Path) -> Project:
    """Read a project's answers file.

    Raises:
        NotReadyError: when there is none, or it is not from our template.
    """
    path = folder / record.FILE
    if not path.is_file():
        raise NotReadyError(
            f"{folder} is not a project made by fastperf: it has no {record.FILE}."
            " Run the command inside the project."
        )
    try:
        source, commit, answers = record.read_record(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise NotReadyError(f"{record.FILE} cannot be read: {error}") from None
    if source not in releases.ADDRESSES:
        raise NotReadyError(
            f"This project comes from another template, {source}:"
            " update it with the command that made it (copier update)."
        )
    return Project(folder, commit.removeprefix("v"), answers)


def check_ready(repo: Repository, *, dry_run: bool) -> None:
    """Refuse a project whose state git could not give back.

    A dry run takes any but for the answers file: it shows what the last commit would become.

    Raises:
        NotReadyError: when it has no commit, has changes that are not committed, or another
            operation is under way.
    """
    applying.check_finished(repo)
    if not repo.head():
        raise NotReadyError("The repository has no commit: commit the project first.")
    if not repo.run("ls-tree", "--full-tree", "HEAD", "--", f"{repo.prefix}{record.FILE}"):
        raise NotReadyError(f"{record.FILE} is not committed: commit the project first.")
    for name in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"):
        if (repo.git_dir / name).exists():
            raise NotReadyError("A merge or rebase is under way here: finish it first.")
    changes = applying.changes(repo, where=record.FILE if dry_run else "")
    if changes:
        raise NotReadyError(
            f"There are changes that are not committed ({changes[0][3:]}):"
            " commit them first, or put them aside with git stash -u."
        )


def update(folder: Path, release: Release, *, dry_run: bool) -> Updated | None:
    """Merge a newer release into a project; None when it already has it.

    Raises:
        NotReadyError: when the project cannot take it now.
        WrongInputError: when the release is older than the project's.
    """
    project, repo = read(folder), repository.find(folder)
    check_ready(repo, dry_run=dry_run)
    if project.version == release.version != releases.DEVELOPMENT:
        return None
    old = _release_of(project)
    if release.version != releases.DEVELOPMENT and Version(release.version) < Version(old.version):
        raise WrongInputError(
            f"The project is at {old.version}, and {release.version} is older:"
            " an update only goes forward."
        )
    return _merge(project, repo, old, release, {}, dry_run=dry_run)


def change(folder: Path, pairs: list[str], *, dry_run: bool) -> Updated | None:
    """Change answers of a project within its release; None when they already are so.

    A change of the preset takes its answers to all questions that start from it, but for
    those that are given too.

    Raises:
        NotReadyError: when the project cannot take it now.
        WrongInputError: when an answer is not valid.
    """
    project = read(folder)
    release = _release_of(project)
    changes = record.parse_pairs(pairs, release.questionnaire)
    repo = repository.find(folder)
    check_ready(repo, dry_run=dry_run)
    return _merge(project, repo, release, release, changes, dry_run=dry_run)


def status(folder: Path) -> Status:
    """Tell where a project stands.

    Raises:
        NotReadyError: when it is not ours.
    """
    project = read(folder)
    try:
        unfinished = applying.unfinished(repository.find(folder))
    except NotReadyError:  # it may be in no repository
        unfinished = False
    return Status(project.version, releases.versions()[-1], project.answers, unfinished)


def _release_of(project: Project) -> Release:
    if project.version == releases.DEVELOPMENT:
        raise NotReadyError(
            "This project was made from a working tree of the template that cannot be"
            " rendered again: make it anew from a release to have updates."
        )
    known = releases.versions()
    if project.version not in known:
        raise NotReadyError(
            f"This project was made by release {project.version}, and this fastperf knows"
            f" {known[0]} to {known[-1]}: install a newer release of fastperf-new, or restore"
            f" {record.FILE} from git."
        )
    return releases.get(project.version)


def _untracked(repo: Repository) -> list[str] | None:
    """Return the files and folders that git neither knows nor ignores: none before an update."""
    words = ("--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z")
    try:
        printed = git.run("ls-files", *words, "--", ".", cwd=repo.project)
    except git.GitError:
        return None  # the update is in
    return [os.fsdecode(path) for path in printed.split(b"\0") if path]


def _merge(
    project: Project,
    repo: Repository,
    old: Release,
    new: Release,
    changes: Answers,
    *,
    dry_run: bool,
) -> Updated | None:
    there = applying.project_files(repo)
    recorded = record.accept(project.answers, old.questionnaire, changes)
    recorded |= _missing(recorded, old, there, changes)
    before = _complete(recorded, old)
    found = contradictions(old, before, there)
    set_right = {one.key for one in found if changes.get(one.key) == one.shown}
    never = {one.key: one.shown for one in found if one.key in set_right and one.never}
    before = _complete({**before, **never}, old)
    after = record.accept(project.answers, new.questionnaire, changes)
    if "preset" in changes:
        for question in new.questionnaire:
            if question.follows("preset"):
                after.pop(question.key, None)
    after = new.questionnaire.complete(changes, recorded=after)
    with TemporaryDirectory(prefix="fastperf-", ignore_cleanup_errors=True) as temporary:
        renders = Path(temporary) / "old", Path(temporary) / "new"
        render(old, before, renders[0])
        render(new, after, renders[1])
        later = releases.after(old.version, new) if new is not old else []
        moves = composed(release.changes for release in later)
        with merged(repo, *renders, f"fastperf-{new.version}", moves) as merge:
            if not set_right:
                _refuse_contradictions(old, before, found, merge.renamed)
            if changes and all(project.answers.get(k) == v for k, v in changes.items()):
                return None
            if not dry_run:
                applying.apply(repo, merge)
            return Updated(
                folder=project.folder,
                changed=[change.path for change in merge.changes],
                version=new.version,
                conflicts=merge.undecided(),
                broken=merge.broken,
                left_deleted=merge.left_deleted,
                moved=merge.moved.moved,
                rewritten=merge.moved.rewritten,
                unsure=merge.unsure(),
                unreadable=merge.moved.unreadable,
                notes=[note for one in later for note in _notes(one, {**before, **after})],
                changes={
                    key: answer
                    for key, answer in changes.items()
                    if project.answers.get(key) != answer
                },
                new_answers={
                    key: answer
                    for key, answer in after.items()
                    if key not in project.answers and key not in changes
                },
                dropped=sorted(project.answers.keys() - {q.key for q in new.questionnaire}),
                not_ignored=[] if dry_run else _untracked(repo),
                diff=merge.diff() if dry_run else "",
                way_back=applying.way_back(repo),
            )


def _notes(release: Release, answers: Answers) -> list[str]:
    """Return what a release leaves to do by hand in a project with these answers."""
    switches = release.questionnaire.derived(answers)
    notes = release.changes.notes
    return [note.text for note in notes if not note.switch or switches.get(note.switch)]


def _complete(recorded: Answers, release: Release) -> Answers:
    try:
        return release.questionnaire.complete({}, recorded=recorded)
    except WrongInputError as error:
        raise NotReadyError(f"{record.FILE} is damaged ({error}): restore it from git.") from None


def _missing(recorded: Answers, release: Release, there: set[str], changes: Answers) -> Answers:
    """Return those of `changes` that answer questions without a line in the answers file.

    Raises:
        NotReadyError: when another line is missing: its default may not be what the project has.
    """
    before = {question.key for question in _unanswered({**changes, **recorded}, release)}
    # A question that only the changes bring up has its default.
    missing = [q for q in _unanswered({**recorded, **changes}, release) if q.key in before]
    if not missing:
        return {key: answer for key, answer in changes.items() if key not in recorded}
    pairs = []
    if all(question.default is not None for question in missing):
        answers = _complete({**recorded, **changes}, release)
        # An answer typed by hand may be why it is asked at all.
        found = contradictions(release, answers, there)
        wrong = {one.key: one.shown for one in found if one.key in recorded.keys() - changes}
        if wrong and not _unanswered({**recorded, **changes, **wrong}, release):
            raise NotReadyError(_contradiction({**recorded, **changes}, wrong))
        for question in missing:
            shown = nearest_answer(release, question, answers, there)
            if shown is not None:
                answers[question.key] = shown
                pairs.append(f"{question.key}={text_of(shown)}")
    way = f"restore it from git (git log -p -- {record.FILE} shows the line), commit"
    if len(pairs) == len(missing):
        way = f"run fastperf change {' '.join(pairs)} and commit"
    raise NotReadyError(
        f"{record.FILE} has no line for {', '.join(question.key for question in missing)}, which"
        f" release {release.version} asks: {way}, then try again."
    )


def _unanswered(recorded: Answers, release: Release) -> list[Question]:
    """Return the questions that are asked after these answers and have none."""
    answers: Answers = {}
    missing = []
    for question in release.questionnaire:
        if not question.is_asked(answers):
            continue
        if question.key not in recorded:
            missing.append(question)
        answers[question.key] = recorded.get(question.key) or question.default_after(answers) or ""
    return missing


def _contradiction(recorded: Answers, shown: Answers) -> str:
    says = ", ".join(f"{key}={text_of(recorded[key])}" for key in shown)
    are = " ".join(f"{key}={text_of(answer)}" for key, answer in shown.items())
    return (
        f"{record.FILE} says {says}, but the project's files are those of {are}:"
        f" run fastperf change {are} and commit, then try again."
    )


def _refuse_contradictions(
    release: Release, answers: Answers, found: list[Contradiction], renamed: Mapping[str, str]
) -> None:
    """Refuse when the project's files are not those of its answers; renamed ones still are.

    Git may take a file of another answer for the renamed one: that is none.

    Raises:
        NotReadyError: then, with the change that sets the answers right.
    """
    moved = {old for old, new in renamed.items() if new not in release.all_paths}
    shown = {one.key: one.shown for one in found if not one.gone & moved}
    if shown:
        raise NotReadyError(_contradiction(answers, shown))
