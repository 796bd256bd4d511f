"""What others wrote is printed, and does nothing else to a terminal."""

import unicodedata
from pathlib import Path

import pytest

from fastperf_new.printing import printable
from tests.harness.support import fastperf


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\nc\td\x7f", "a\\x0db\\x0ac\\x09d\\x7f"),
        ("\x85\x9b31m", "\\x85\\x9b31m"),
        ("a\u202eb\u2066c\u200fd\u061ce", "a\\u202eb\\u2066c\\u200fd\\u061ce"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, printed: str) -> None:
    assert ascii(printable(text)) == ascii(printed)


@pytest.mark.parametrize("text", ['it\'s "q" \\ $x', "é ñ", "数据", "שלום", "👩\u200d💻 🚀", ""])
def test_ordinary_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_no_control_and_no_change_of_direction_is_left() -> None:
    directions = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} or (
            unicodedata.bidirectional(character) in directions
        ):
            assert printable(character).isascii(), hex(code)


EVIL = "a\x1b[31mb\u202ec"


def test_a_summary_and_a_dry_run_print_no_control(tmp_path: Path) -> None:
    # This release takes such a description.
    words = ("--yes", "--dry-run", "--release", "0.6.0", "-d", "description=a\u202eb")
    done = fastperf("new", f"{EVIL}/shop", *words, cwd=tmp_path)

    assert done.returncode == 0
    assert "description   a\\u202eb\n" in done.stdout
    assert "fastperf new 'a\\x1b[31mb\\u202ec/shop' --yes" in done.stdout
    assert_plain(done.stdout)


def test_a_new_project_prints_no_control(tmp_path: Path) -> None:
    (tmp_path / EVIL).mkdir()
    done = fastperf(
        "new", f"{EVIL}/shop", "--yes", "--no-install", cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}
    )

    assert done.returncode == 0
    assert f"Created {tmp_path}/a\\x1b[31mb\\u202ec/shop." in done.stdout
    assert_plain(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("shop", "--answers", EVIL),
        ("shop", "--preset", EVIL),
        ("shop", "--release", EVIL),
        ("shop", "-d", EVIL),
        ("shop", "-d", f"{EVIL}=1"),
        (EVIL,),
        (f"{EVIL}/full",),
    ],
    ids=ascii,
)
def test_a_refusal_prints_no_control(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / EVIL / "full").mkdir(parents=True)
    (tmp_path / EVIL / "full" / "mine").touch()
    done = fastperf("new", *words, "--yes", cwd=tmp_path)

    assert done.returncode
    assert done.stderr.count("\n") == 1
    assert "\\x1b" in done.stderr
    assert_plain(done.stderr)


def test_answers_of_a_file_are_printed_without_controls(tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text('ci: "\\e]0;x\\a"\n', "utf-8")
    done = fastperf("new", "shop", "--answers", "answers.yml", "--yes", cwd=tmp_path)

    assert_plain(done.stderr)


def assert_plain(printed: str) -> None:
    assert "\n".join(map(printable, printed.split("\n"))) == printed
