"""Neighbouring edits are both taken; edits of the same lines never are."""

import pytest

from fastperf_new.neighbours import is_field, is_import, is_setting, merge

BASE = "start\n1\n2\n3\nend\n"


def edited(*edits: tuple[str, str]) -> str:
    text = BASE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        # The template takes a line away, the user added one below or above it.
        (edited(("2\n", "2\nmine\n")), edited(("2\n", "")), edited(("2\n", "mine\n"))),
        (edited(("2\n", "mine\n2\n")), edited(("2\n", "")), edited(("2\n", "mine\n"))),
        # One changes a line, the other adds one beside it.
        (edited(("2\n", "two\n")), edited(("2\n", "2\nnew\n")), edited(("2\n", "two\nnew\n"))),
        # Each changes one of two neighbours.
        (edited(("1\n", "one\n")), edited(("2\n", "two\n")), edited(("1\n2\n", "one\ntwo\n"))),
        (
            edited(("1\n", "one\n"), ("3\n", "three\n")),
            edited(("2\n", "")),
            edited(("1\n2\n3\n", "one\nthree\n")),
        ),
        # Far apart, as git has it already.
        (
            edited(("start\n", "begin\n")),
            edited(("end\n", "stop\n")),
            edited(("start\n", "begin\n"), ("end\n", "stop\n")),
        ),
    ],
)
def test_both_are_taken(ours: str, theirs: str, merged: str) -> None:
    assert merge(BASE.encode(), ours.encode(), theirs.encode(), bool) == merged.encode()
    assert merge(BASE.encode(), theirs.encode(), ours.encode(), bool) == merged.encode()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (edited(("2\n", "two\n")), edited(("2\n", "zwei\n"))),
        (edited(("2\n", "two\n")), edited(("2\n", ""))),
        (edited(("2\n", "2\nmine\n")), edited(("2\n", "2\nnew\n"))),
        (edited(("1\n2\n", "one\ntwo\n")), edited(("2\n3\n", "zwei\ndrei\n"))),
        (edited(("2\n", "\0\n")), edited(("3\n", "drei\n"))),
        ("mine\n", "new\n"),
        (edited(("end\n", "stop")), edited(("3\n", "drei\n"))),  # no end of the last line
        (edited(("\n", "\r\n"), ("2", "two")), edited(("\n", "\r\n"), ("2", "zwei"))),
    ],
)
def test_a_conflict_stays_one(ours: str, theirs: str) -> None:
    assert merge(BASE.encode(), ours.encode(), theirs.encode(), bool) is None
    assert merge(BASE.encode(), theirs.encode(), ours.encode(), bool) is None


def test_lines_that_repeat_are_left_to_the_user() -> None:
    base = "start\nx\nx\nend\n"
    ours, theirs = base.replace("x\nx\n", "one\nx\nmine\n"), base.replace("x\nx\n", "x\ntwo\n")

    assert merge(base.encode(), ours.encode(), theirs.encode(), bool) is None


def test_text_that_looks_like_a_conflict_is_text() -> None:
    base = "<<<<<<< ours\n1\n=======\n2\n>>>>>>> theirs\n"
    ours, theirs = base.replace("1\n", "one\n"), base.replace("=======\n", "=======\nnew\n")

    merged = merge(base.encode(), ours.encode(), theirs.encode(), bool)

    assert merged == base.replace("1\n=======\n", "one\n=======\nnew\n").encode()


def test_lines_of_logic_belong_together() -> None:
    base = "def pay(order):\n    if order.ok:\n        send(order)\n    return order\n"
    ours = base.replace("    if order.ok:\n        send(order)\n", "")
    theirs = base.replace("send(order)\n", "send(order)\n        charge(order)\n")

    assert merge(base.encode(), ours.encode(), theirs.encode(), is_import) is None


def test_imports_stand_for_themselves() -> None:
    base = "from app.a import A\nfrom app.b import B\n\nX = 1\n"
    ours = base.replace("app.a", "app.mine")
    theirs = base.replace("import B", "import B, C")

    merged = merge(base.encode(), ours.encode(), theirs.encode(), is_import)

    assert merged == b"from app.mine import A\nfrom app.b import B, C\n\nX = 1\n"


@pytest.mark.parametrize("line", ["import a\n", "from a.b import c, d as e  # noqa\n", "\n"])
def test_what_is_an_import(line: str) -> None:
    assert is_import(line.encode())


@pytest.mark.parametrize(
    "line", ["from a import (\n", "    c,\n", "import a; run()\n", "from a import \\\n", "x\n"]
)
def test_what_is_none(line: str) -> None:
    assert not is_import(line.encode())


def test_imports_that_both_add_at_one_place_are_both_taken() -> None:
    base = "from app.a import A\nfrom app.c import C\n\nX = 1\n"
    ours = base.replace("import A\n", "import A\nfrom app.mine import M\n")
    theirs = base.replace("import A\n", "import A\nfrom app.b import B\n")

    merged = merge(base.encode(), ours.encode(), theirs.encode(), bool)

    both = "import A\nfrom app.b import B\nfrom app.mine import M\n"
    assert merged == base.replace("import A\n", both).encode()


def test_settings_that_both_add_at_one_place_are_both_taken() -> None:
    base = "class Settings(Base):\n    level: str = 'INFO'\n"
    ours = base + "    limit: int = 100  # characters\n"
    theirs = base + "    # Seconds.\n    drain: float = Field(default=0, ge=0)\n"

    merged = merge(base.encode(), ours.encode(), theirs.encode(), is_setting, is_setting)

    assert merged == (theirs + "    limit: int = 100  # characters\n").encode()


def test_what_both_add_alike_stays_a_conflict() -> None:
    base = "class Settings(Base):\n    level: str = 'INFO'\n"
    ours, theirs = (base + f"    {more}limit: int = 1\n" for more in ("", "a: int = 1\n    "))

    assert merge(base.encode(), ours.encode(), theirs.encode(), is_setting, is_setting) is None


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("    limit: int = 100  # characters\n", True),
        ("    # Seconds.\n", True),
        ("    limit: int = Field(\n", False),
        ("        limit: int = 1\n", False),
        ("limit: int = 1\n", False),
        ("    limit = 1\n", False),
        ("    def limit(self) -> int:\n", False),
        ("\n", False),
    ],
)
def test_what_is_a_field(line: str, field: bool) -> None:
    assert is_field(line.encode()) is field
