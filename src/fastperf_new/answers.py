"""What was answered: on the command line, in a file, and in a project's own answers file."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from fastperf_new.errors import NotReadyError, WrongInputError
from fastperf_new.questions import Answer, Answers, Questionnaire

FILE = ".copier-answers.yml"


class _StrictLoader(yaml.SafeLoader):
    """YAML without aliases, and without keys that stand there twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            raise yaml.YAMLError("a key stands there twice")
        return mapping


def load_yaml(text: str) -> dict[str, Any]:
    try:
        content = yaml.load(text, _StrictLoader)  # noqa: S506  (a SafeLoader)
        str(content).encode()
    except Exception as error:  # PyYAML's constructors raise whatever Python does
        if isinstance(error, yaml.YAMLError):
            raise
        raise yaml.YAMLError(f"{type(error).__name__}: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise yaml.YAMLError("it must hold lines of `key: value`")
    return content


def parse_pairs(pairs: Sequence[str], questionnaire: Questionnaire) -> Answers:
    """Parse `key=value` words.

    Raises:
        WrongInputError: for another form, an unknown key or value, or two values for a key.
    """
    answers: Answers = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise WrongInputError(f"{pair!r} is not an answer: write it as key=value.")
        answer = questionnaire[key].parse(text)
        if answers.setdefault(key, answer) != answer:
            raise WrongInputError(f"{key} is given twice, with different values: keep one.")
    return answers


def read_file(path: Path, questionnaire: Questionnaire) -> Answers:
    """Read an answers file that a user wrote, or copied from another project.

    Raises:
        WrongInputError: when it cannot be read, or an answer in it is unknown.
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise WrongInputError(f"{path} cannot be read: {_one_line(error)}") from None
    return {
        key: questionnaire[key].parse(value)
        for key, value in content.items()
        if not key.startswith("_")
    }


def read_record(text: str) -> tuple[str, str, dict[str, Any]]:
    """Read a project's answers file: where it comes from, which release, the answers.

    Raises:
        NotReadyError: when it is not one that fastperf or Copier wrote.
    """
    try:
        content = load_yaml(text)
        source, commit = content.pop("_src_path"), content.pop("_commit")
    except (yaml.YAMLError, KeyError) as error:
        raise NotReadyError(
            f"{FILE} is damaged ({_one_line(error)}): restore it from git."
        ) from None
    return str(source), str(commit), content


def accept(
    recorded: Mapping[str, Any], questionnaire: Questionnaire, instead: Mapping[str, Answer]
) -> Answers:
    """Return the recorded answers that still are questions, and can be taken.

    Args:
        instead: new answers; the old ones need not be possible any more.

    Raises:
        NotReadyError: when the release no longer takes one of them; Copier would
            quietly use the default instead.
    """
    answers: dict[str, Answer] = {}
    for key, value in recorded.items():
        if key in questionnaire:
            try:
                answers[key] = questionnaire[key].parse(value)
            except WrongInputError as error:
                if key not in instead:
                    raise _no_longer_offered(key, str(error)) from None
    for key in [question.key for question in questionnaire if question.key in answers]:
        complaint = questionnaire[key].complaint(answers[key], {**answers, **instead})
        if complaint and key not in instead:
            raise _no_longer_offered(key, f"{key} cannot be {answers[key]!r}: {complaint}")
    return answers


def _no_longer_offered(key: str, why: str) -> NotReadyError:
    return NotReadyError(
        f"The recorded answer is no longer offered: {why}"
        f" Choose another first: fastperf change {key}=..."
    )


def write_record(path: Path, source: str, commit: str) -> None:
    """Put where a render comes from into the answers file that Copier wrote."""
    text = path.read_text(encoding="utf-8")
    comment = text[: text.index("\n") + 1]
    record = {**yaml.safe_load(text), "_commit": commit, "_src_path": source}
    path.write_text(comment + yaml.safe_dump(record, allow_unicode=True), encoding="utf-8")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
