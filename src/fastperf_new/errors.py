"""What can go wrong, each with an exit code of its own."""

from enum import IntEnum


class Exit(IntEnum):
    """The command's exit codes."""

    DONE = 0
    FAILED = 1  # something outside our hands: the disk, git, uv
    WRONG_INPUT = 2  # what was typed cannot be done; Typer uses the same code
    NOT_READY = 3  # the place cannot take it now: not empty, not clean, not ours
    CONFLICTS = 4  # the update is in, and some files wait for the user's decision
    STOPPED = 130  # by Ctrl-C, as shells have it


class RefusedError(Exception):
    """Nothing was changed, and one sentence says what, why and how to go on."""

    exit = Exit.FAILED


class WrongInputError(RefusedError):
    """What was typed cannot be done."""

    exit = Exit.WRONG_INPUT


class NotReadyError(RefusedError):
    """The place cannot take it now."""

    exit = Exit.NOT_READY


class StoppedError(RefusedError):
    """The user gave up."""

    exit = Exit.STOPPED
