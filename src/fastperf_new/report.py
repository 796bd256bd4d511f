"""What people get to see."""

import shlex
from collections.abc import Iterable
from pathlib import Path

import typer

from fastperf_new import releases
from fastperf_new.project import Created, Status, Updated
from fastperf_new.questions import Answer, Answers, Questionnaire


def warning(message: str) -> None:
    """Print what could not be done, though the rest was."""
    typer.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
    typer.echo(message, err=True)


def text_of(answer: Answer) -> str:
    """Write an answer as it is typed."""
    return {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else answer


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
    return shlex.join([*words, *flags])


def created(project: Created, commands: list[str]) -> None:
    """Print what to type next."""
    typer.secho(f"Created {project.folder}.", fg="green")
    for message in project.warnings:
        warning(message)
    typer.echo("Next:")
    for command in commands:
        typer.echo(f"  {command}")


def updated(result: Updated, *, dry_run: bool) -> None:
    """Print what an update did, and what is left to the user."""
    if dry_run:
        typer.echo(result.diff, nl=False)
        typer.echo(f"Would change {len(result.changed)} files; nothing was written.")
    else:
        typer.secho(f"The project is at {result.version}: {len(result.changed)} files.", fg="green")
    for key, answer in result.new_answers.items():
        typer.echo(f"New answer {key}={text_of(answer)}; another: fastperf change {key}=...")
    for key in result.dropped:
        typer.echo(f"No longer asked: {key}.")
    _list(
        "You deleted these, and the template changed them; they stay deleted:", result.left_deleted
    )
    if result.conflicts:
        _list("Both you and the template changed these:", result.conflicts)
    if dry_run:
        return
    typer.echo("Next:")
    look = "git diff --staged"
    if result.conflicts:
        look = "git status  # resolve what is unmerged (look for <<<<<<<), then git add it"
    typer.echo(f"  {look}")
    typer.echo('  uv run alembic revision --autogenerate -m "update"  # if a model changed')
    typer.echo("  uv run pytest")
    typer.echo(f'  git commit -am "Update to fastperf-new {result.version}"')


def status(state: Status) -> None:
    """Print where a project stands."""
    typer.echo(f"The project is at {state.version}; the newest release here is {state.newest}.")
    for key, answer in state.answers.items():
        typer.echo(f"  {key} = {text_of(answer)}")
    if state.unfinished:
        warning("An update was interrupted: fastperf update --continue, or --abort.")
    elif state.version not in (state.newest, releases.DEVELOPMENT):
        typer.echo("Take it in with: fastperf update")


def preview(paths: list[str]) -> None:
    """Print the files that a new project would have."""
    typer.echo("Would write:")
    for path in paths:
        typer.echo(f"  {path}")


def options(questionnaire: Questionnaire) -> None:
    """Print every question, its choices and its default."""
    presets = questionnaire["preset"].values
    defaults = {
        preset: questionnaire.complete({"name": "shop", "preset": preset}) for preset in presets
    }
    for question in questionnaire:
        typer.secho(question.key, bold=True)
        typer.echo(f"  {question.help}")
        if question.choices:
            _list("", question.choices, indent="    ")
        elif question.values:
            typer.echo(f"    {' or '.join(question.values)}")
        if question.key not in ("name", "preset"):
            by_preset = {
                # What is asked only after another answer has no part in a preset.
                preset: text_of(answers.get(question.key, question.default_after(answers) or ""))
                for preset, answers in defaults.items()
            }
            if len(set(by_preset.values())) == 1:
                typer.echo(f"  Default: {next(iter(by_preset.values()))}")
            else:
                told = ", ".join(f"{answer} in {preset}" for preset, answer in by_preset.items())
                typer.echo(f"  Default: {told}")


def _list(title: str, lines: Iterable[str], indent: str = "  ") -> None:
    lines = list(lines)
    if lines and title:
        typer.echo(title)
    for line in lines:
        typer.echo(f"{indent}{line}")
