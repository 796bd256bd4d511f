"""The questions of one release, read from its copier.yml so that nothing drifts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, meta
from jinja2.sandbox import SandboxedEnvironment

from fastperf_new.errors import WrongInputError
from fastperf_new.printing import printable

Answer = str | bool
Answers = dict[str, Answer]

_YES_NO = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}

# The same filters as Copier's, so that a default or a validator means the same to both.
_JINJA = SandboxedEnvironment(
    extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
    undefined=StrictUndefined,
    autoescape=False,  # text for people, never HTML
)


def text_of(answer: Answer) -> str:
    """Write an answer as it is typed, or what can be printed of it."""
    return (
        {True: "yes", False: "no"}[answer] if isinstance(answer, bool) else printable(str(answer))
    )


@cache
def _template(source: str) -> Template:
    return _JINJA.from_string(source)


def nearest(word: str, words: list[str]) -> str:
    """Return the hint that names the nearest of `words`, or all of them."""
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"it can be {', '.join(words)}."


@dataclass(frozen=True)
class Question:
    """One question of copier.yml; texts may be Jinja over the answers before it."""

    key: str
    type: str = "str"
    help: str = ""
    placeholder: str = ""
    default: Any = None
    choices: Mapping[str, str] | None = None  # what is shown, and the value it stands for
    validator: str = ""
    when: str | bool = True

    @property
    def hidden(self) -> bool:
        """Whether it is a switch that answers are turned into, never asked."""
        return self.when is False

    @cached_property
    def values(self) -> list[str]:
        """The values that a choice can have; empty for free text."""
        if self.type == "bool":
            return ["yes", "no"]
        return list(self.choices.values()) if self.choices else []

    def follows(self, key: str) -> bool:
        """Whether the default depends on the answer to `key`."""
        if not isinstance(self.default, str):
            return False
        return key in meta.find_undeclared_variables(_JINJA.parse(self.default))

    def is_asked(self, answers: Mapping[str, Answer]) -> bool:
        """Whether the question makes sense after `answers`."""
        if isinstance(self.when, bool):
            return self.when
        return _YES_NO[_template(self.when).render(answers).strip().lower()]

    def default_after(self, answers: Mapping[str, Answer]) -> Answer | None:
        """Return the default after `answers`, None when there is none."""
        if not isinstance(self.default, str):
            return self.default  # type: ignore[no-any-return]
        return self.parse(_template(self.default).render(answers))

    def parse(self, value: object) -> Answer:
        """Turn what was typed, or stands in a YAML file, into an answer.

        Raises:
            WrongInputError: when it is of another type or none of the choices.
        """
        if self.type == "bool":
            parsed = value if isinstance(value, bool) else _YES_NO.get(str(value).lower())
            if parsed is None:
                raise WrongInputError(f"{self.key} takes yes or no, not {value!r}.")
            return parsed
        if not isinstance(value, str):
            raise WrongInputError(f"{self.key} takes text, not {value!r}: put it in quotes.")
        if self.choices and value not in self.values:
            raise WrongInputError(f"{self.key} cannot be {value!r}: {nearest(value, self.values)}")
        return value

    def complaint(self, answer: Answer, answers: Mapping[str, Answer]) -> str:
        """Return what is wrong with an answer after `answers`; empty when nothing is."""
        return _template(self.validator).render({**answers, self.key: answer}).strip()


class Questionnaire:
    """The questions of one release, in the order in which they are asked."""

    def __init__(self, copier_yml: str) -> None:
        content = yaml.safe_load(copier_yml)
        self.all = [
            Question(key, **details) for key, details in content.items() if not key.startswith("_")
        ]
        self._exclude = [_template(row) for row in content.get("_exclude", [])]

    def __iter__(self) -> Iterator[Question]:
        """Iterate over the questions that people answer."""
        return (question for question in self.all if not question.hidden)

    def __contains__(self, key: str) -> bool:
        return any(question.key == key for question in self)

    def __getitem__(self, key: str) -> Question:
        for question in self:
            if question.key == key:
                return question
        raise WrongInputError(
            f"There is no question {key!r}: {nearest(key, [question.key for question in self])}"
        )

    def left_out(self, answers: Mapping[str, Answer]) -> list[str]:
        """Return the patterns of the files that a render with complete answers does not have."""
        context = self.derived(answers)
        return [row.render(context) for row in self._exclude]

    def derived(self, answers: Mapping[str, Answer]) -> dict[str, Any]:
        """Return complete answers with the switches and texts that templates read."""
        context: dict[str, Any] = dict(answers)
        for question in self.all:
            if question.key not in context:
                context[question.key] = question.default_after(context)
        return context

    def complete(
        self, given: Mapping[str, Answer], recorded: Mapping[str, Answer] | None = None
    ) -> Answers:
        """Return `given` with a default for every other question.

        Args:
            recorded: answers from before, instead of defaults; those to questions that make no
                sense with the new ones go.

        Raises:
            WrongInputError: when an answer is missing, is not valid, or contradicts others.
        """
        answers: Answers = {}
        for question in self:
            if not question.is_asked(answers):
                if question.key in given:
                    raise WrongInputError(
                        f"{question.key} makes no sense with the other answers: leave it out."
                    )
                continue
            kept = (recorded or {}).get(question.key, question.default_after(answers))
            answer = given.get(question.key, kept)
            if answer is None:
                raise WrongInputError(
                    f"{question.key} is missing: give it with -d {question.key}=..."
                )
            if complaint := question.complaint(answer, answers):
                raise WrongInputError(f"{question.key} cannot be {answer!r}: {complaint}")
            answers[question.key] = answer
        return answers
