"""What people get to see."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from fastperf_new import install, releases
from fastperf_new.create import Created
from fastperf_new.merge import Conflict
from fastperf_new.printing import printable
from fastperf_new.project import Status, Updated
from fastperf_new.questions import Answers, Question, Questionnaire, text_of

SERVERS = ("scripts/postgresql.py", "scripts/mysql.py", "scripts/redis.py")


def warning(message: str) -> None:
    """Print what could not be done, though the rest was."""
    typer.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
    typer.echo(printable(message), err=True)


def summary(answers: Answers, replay: str) -> None:
    """Print what will be made, and the line that makes it again."""
    width = max(map(len, answers))
    for key, answer in answers.items():
        typer.echo(f"  {key:<{width}}  {text_of(answer)}")
    typer.echo(f"\nAgain without questions:\n  {replay}\n")


def replay(
    questionnaire: Questionnaire, answers: Answers, path: Path, folder: Path, flags: Iterable[str]
) -> str:
    """Return the command that does this again, leaving out answers that are the default.

    Args:
        path: the folder as it was typed.
        folder: the same, absolute.
    """
    words = ["fastperf", "new", str(path), "--yes", "--preset", str(answers["preset"])]
    default = questionnaire.complete({key: answers[key] for key in ("name", "preset")})
    default["name"] = folder.name
    for key, answer in answers.items():
        if answer != default.get(key):  # a question may follow from another answer
            words += ["-d", f"{key}={text_of(answer)}"]
    return printable(shlex.join([*words, *flags]))


def never_updated() -> None:
    """Print that a project of the working tree is no project of a release."""
    warning(
        "This project can never be updated, because it comes from the working tree of the template:"
        f" add --release {releases.versions()[-1]} for one that can."
    )


def installing() -> None:
    """Print what takes long."""
    typer.echo("Installing the dependencies...")


def created(project: Created, shown: Path) -> None:
    """Print what to type next.

    Args:
        shown: the project's folder as it was typed.
    """
    typer.secho(printable(f"Created {project.folder}."), fg="green")
    for message in project.warnings:
        warning(message)
    if project.part_of:
        told = f"It is part of the repository {project.part_of}, and not committed there."
        typer.echo(printable(told))
    run = install.runner()
    commands = _enter(project.folder, shown)
    commands += [] if project.installed else [install.sync_command()]
    commands += _servers(project.folder, SERVERS)
    commands += [f"{run}alembic upgrade head", f"{run}fastapi dev", f"{run}pytest"]
    commands += _commit(project.first_commit) if project.first_commit else []
    _list("Next:", commands)


def _cd(folder: Path, here: Path) -> str:
    """Return what to type to be in a project from one of its folders, which may be gone."""
    return shlex.join(["cd", os.path.relpath(folder, here) if here.is_dir() else str(folder)])


def _enter(folder: Path, shown: str | Path) -> list[str]:
    return [] if folder == Path.cwd() else [shlex.join(["cd", str(shown)])]


def _servers(folder: Path, scripts: Iterable[str]) -> list[str]:
    """Return what starts the servers that a project needs beside it."""
    return [
        f"{install.runner()}python {script}  # in another terminal"
        for script in SERVERS
        if script in scripts and (folder / script).exists()
    ]


def _commit(message: str) -> list[str]:
    return ["git add -A .", shlex.join(["git", "commit", "-m", message])]


def updated(result: Updated, here: Path, *, dry_run: bool) -> None:
    """Print what an update did, and what is left to the user.

    Args:
        here: the folder in which the command was started; the update may have removed it.
    """
    changes = ", ".join(f"{key} to {text_of(answer)}" for key, answer in result.changes.items())
    if dry_run:
        # A patch is what it is; a terminal gets no orders from it.
        raw = not sys.stdout.isatty()
        for line in result.diff.splitlines(keepends=True):
            typer.echo(line if raw else _shown(line), nl=False)
        typer.echo(f"Would change {_count(result)} files; nothing was written.")
    else:
        done = f"Changed {changes}" if changes else f"The project is at {result.version}"
        typer.secho(f"{done}: {_count(result)} files.", fg="green")
    _moves(result)
    for key, answer in result.new_answers.items():
        typer.echo(
            f"New answer {printable(key)}={text_of(answer)}; another: fastperf change {key}=..."
        )
    for key in result.dropped:
        typer.echo(f"No longer asked: {printable(key)}.")
    _list(
        "You deleted these, and the template changed them; they stay deleted:", result.left_deleted
    )
    _conflicts(result.conflicts)
    _list("These import what is no longer there; mend them before you commit:", result.broken)
    _list("These refer to what moved, or only look like it; look at each:", result.unsure)
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    _list(
        f"{python} cannot parse these, so what moved has its old name there; mend them by hand:",
        result.unreadable,
    )
    _list("To do by hand:", result.notes)
    if dry_run:
        return
    _list(
        "Git ignored these, and no longer does; remove them or ignore them before you commit:",
        result.not_ignored or [],
    )
    if result.not_ignored is None:
        warning("git cannot say which files it no longer ignores: look at git status.")
    look = "git diff --staged"
    if result.conflicts:
        look = "git status  # resolve what is unmerged, then git add it"
    run = install.runner()
    enter = [] if result.folder == here and here.is_dir() else [_cd(result.folder, here)]
    commands = [*enter, look]
    if "pyproject.toml" in result.changed or not (result.folder / ".venv").is_dir():
        commands.append(f"{install.sync_command()}  # brings uv.lock up to date too")
    commands += [
        *_servers(result.folder, result.changed),
        f'{run}alembic revision --autogenerate -m "update"  # if a model changed; read it',
        f"{run}alembic upgrade head",
        f"{run}pytest",
        *_commit(f"Change {changes}" if changes else f"Update to fastperf-new {result.version}"),
    ]
    _list("Next:", commands)
    if result.conflicts or result.broken:
        typer.echo(f"To take it back: {printable(result.way_back)}")


def _count(result: Updated) -> int:
    """Return how many files change, one that moves counted once."""
    changed = set(result.changed)
    return len(changed) - sum(
        old in changed and new in changed for old, new in result.moved.items()
    )


def _moves(result: Updated) -> None:
    """Print how much moved with the releases."""
    if result.moved or result.rewritten:
        typer.echo(
            f"{_files(len(result.moved))} moved; references to what moved were rewritten"
            f" in {_files(len(result.rewritten))} of yours."
        )


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _shown(line: str) -> str:
    """Return a line of a diff as a terminal may have it."""
    return "\t".join(map(printable, line.rstrip("\n").split("\t"))) + "\n"


def _conflicts(conflicts: Iterable[Conflict]) -> None:
    """Print what is left to decide, by what has to be done about it."""
    kinds: dict[str, list[str]] = {}
    for conflict in conflicts:
        if conflict.marked:
            title = "Both you and the template changed these; look for <<<<<<< in them:"
        elif conflict.stages == (1, 2):
            title = (
                "You changed these, and the template no longer has them:"
                " git add keeps yours, git rm removes it:"
            )
        else:
            title = "Git cannot decide about these; git status says why:"
        kinds.setdefault(title, []).append(conflict.path)
    for title, paths in kinds.items():
        _list(title, paths)


def status(state: Status) -> None:
    """Print where a project stands."""
    typer.echo(
        f"The project is at {printable(state.version)}; the newest release here is {state.newest}."
    )
    for key, answer in state.answers.items():
        typer.echo(f"  {printable(key)} = {text_of(answer)}")
    if state.unfinished:
        warning("An update was interrupted: fastperf update --continue, or --abort.")
    elif state.version not in (state.newest, releases.DEVELOPMENT):
        typer.echo("Take it in with: fastperf update")


def preview(paths: list[str]) -> None:
    """Print the files that a new project would have."""
    _list("Would write:", paths)


def options(questionnaire: Questionnaire) -> None:
    """Print every question, its choices and its default."""
    for question in questionnaire:
        typer.secho(question.key, bold=True)
        typer.echo(f"  {question.help}")
        if question.choices:
            _list("", question.choices, indent="    ")
        elif question.values:
            typer.echo(f"    {' or '.join(question.values)}")
        if question.key not in ("name", "preset"):
            defaults = list(_defaults(questionnaire, question))
            told = ", ".join(f"{answer} in {where}" for answer, where in defaults)
            if len({answer for answer, _ in defaults}) == 1:
                told = defaults[0][0]
            typer.echo(f"  Default: {told}")


def _defaults(questionnaire: Questionnaire, question: Question) -> Iterator[tuple[str, str]]:
    """Give each default of a question, and where it is one: in which preset, after what."""
    before = next((other for other in questionnaire if _decides(other, question)), None)
    for preset in questionnaire["preset"].values:
        after: dict[str, list[str]] = {}
        for value in before.values if before else [""]:
            given: Answers = {"name": "shop", "preset": preset}
            given |= {before.key: before.parse(value)} if before else {}
            answers = questionnaire.complete(given)
            # What is asked only after another answer has no part in a preset.
            answer = answers.get(question.key, question.default_after(answers) or "")
            after.setdefault(text_of(answer), []).append(value)
        for text, values in after.items():
            yield text, f"{preset} with {' or '.join(values)}" if len(after) > 1 else preset


def _decides(other: Question, question: Question) -> bool:
    return other.key != "preset" and bool(other.values) and question.follows(other.key)


def _list(title: str, lines: Iterable[str], indent: str = "  ") -> None:
    lines = list(lines)
    if lines and title:
        typer.echo(title)
    for line in lines:
        typer.echo(printable(f"{indent}{line}"))
