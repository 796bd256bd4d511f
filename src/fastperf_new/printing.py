"""Text that is safe to print at a terminal."""

import re

# Characters that move the cursor, change the terminal, end a line or reorder what stands in it:
# C0 and C1 controls, controls of writing direction, separators of lines, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return one line of text with unsafe characters escaped: ESC becomes `\x1b`."""
    return _UNSAFE.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
