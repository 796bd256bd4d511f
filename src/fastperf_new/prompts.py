"""Asking at a terminal: name, preset, database, and only on demand the rest."""

import questionary

from fastperf_new.errors import StoppedError
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
    if rest and questionary.confirm("Customise the rest?", default=False).unsafe_ask():
        for question in rest:
            if question.is_asked(answers):
                answers[question.key] = _ask(question, answers)


def _ask(question: Question, answers: Answers) -> Answer:
    default = question.default_after(answers)
    message = question.help
    if question.type == "bool":
        return bool(questionary.confirm(message, default=bool(default)).unsafe_ask())
    if question.choices:
        choices = [
            questionary.Choice(title, value=value) for title, value in question.choices.items()
        ]
        return str(questionary.select(message, choices, default=str(default)).unsafe_ask())

    def validate(text: str) -> bool | str:
        return question.complaint(text, answers) or True

    return str(
        questionary.text(
            message, default=str(default or ""), placeholder=question.placeholder, validate=validate
        ).unsafe_ask()
    )
