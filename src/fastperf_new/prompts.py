"""Asking at a terminal: name, preset, database, and only on demand the rest."""

import questionary
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings

from fastperf_new.errors import StoppedError, WrongInputError
from fastperf_new.questions import Answer, Answers, Question, Questionnaire

FIRST = ("name", "preset", "database")


def ask(questionnaire: Questionnaire, given: Answers) -> Answers:
    """Ask for what was not given; everything else keeps its default.

    Raises:
        StoppedError: when the user gives up.
    """
    answers = dict(given)
    try:
        _ask_all(questionnaire, answers)
    except (KeyboardInterrupt, EOFError):
        raise StoppedError("Nothing was made.") from None
    return answers


def _ask_all(questionnaire: Questionnaire, answers: Answers) -> None:
    for key in FIRST:
        if key in questionnaire and key not in answers:  # an older release may not ask it
            answers[key] = _ask(questionnaire[key], answers)
    rest = [question for question in questionnaire if question.key not in answers]
    more = questionary.confirm("Customise the rest?", default=False)
    if rest and _without_text(more).unsafe_ask():
        for question in rest:
            if question.is_asked(answers):
                answers[question.key] = _ask(question, answers)


def _ask(question: Question, answers: Answers) -> Answer:
    """Ask until the answer is one that the question takes."""
    while True:
        answer = _prompt(question, answers).unsafe_ask()
        complaint = _complaint(question, answer, answers)
        if not complaint:
            return question.parse(answer)
        questionary.print(complaint, style="fg:ansired")


def _complaint(question: Question, answer: object, answers: Answers) -> str:
    try:
        return question.complaint(question.parse(answer), answers)
    except WrongInputError as error:
        return str(error)


def _prompt(question: Question, answers: Answers) -> questionary.Question:
    default = question.default_after(answers)
    if question.type == "bool":
        return _without_text(questionary.confirm(question.help, default=bool(default)))
    if question.choices:
        choices = [
            questionary.Choice(title, value=value) for title, value in question.choices.items()
        ]
        return _without_text(questionary.select(question.help, choices, default=str(default)))
    return questionary.text(
        question.help,
        default=str(default or ""),
        placeholder=question.placeholder,
        validate=lambda text: _complaint(question, text, answers) or True,
    )


def _without_text(prompt: questionary.Question) -> questionary.Question:
    """Return a prompt for one key or a choice, safe from keys that edit text."""
    own = prompt.application.key_bindings or KeyBindings()
    prompt.application.key_bindings = merge_key_bindings([own, _KEYS])
    return prompt


_KEYS = KeyBindings()


@_KEYS.add("escape", eager=True)
def _ignore(_: KeyPressEvent) -> None:
    """Do nothing: Esc, Enter would answer with the text of a list's hidden input line."""


@_KEYS.add("c-d", eager=True)
def _stop(event: KeyPressEvent) -> None:
    """Give up, at lists too."""
    event.app.exit(exception=EOFError)
