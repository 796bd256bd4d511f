"""Write what capabilities.yml declares into copier.yml: `make capabilities`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
BEGIN, END = "# --- Written by `make capabilities`: {}", "# --- End of what is written\n"


@dataclass(frozen=True)
class Capability:
    """A part of a project that some answers bring. Its fields are described in capabilities.yml."""

    name: str
    when: str = ""
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    without: str = ""
    own_paths: tuple[str, ...] = ()
    wiring: str = ""
    packages: tuple[str, ...] = ()
    words: str = ""

    @classmethod
    def read(cls, name: str, fields: Mapping[str, str | list[str]]) -> "Capability":
        """Make a capability of its entry in capabilities.yml."""
        renamed = {"own_paths" if key == "paths" else key: value for key, value in fields.items()}
        lists = {key: tuple(value) for key, value in renamed.items() if isinstance(value, list)}
        return cls(name, **{**renamed, **lists})  # type: ignore[arg-type]

    @property
    def switch(self) -> str:
        """Return the name of the switch that is on where the capability is."""
        return f"use_{self.name}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths that only this capability brings."""
        joins = (f"app/wiring/{self.wiring}.py",) if self.wiring else ()
        return self.own_paths + joins

    @cached_property
    def off(self) -> str:
        """Return the Jinja test that holds where the capability is off.

        A release that does not know a switch is read with the defaults: nothing is left out.
        """
        if self.without:
            return f"use_{self.without} | default(false)"
        names = self.any or self.all or (self.name,)
        between = " or " if self.all else " and "
        return between.join(f"not use_{name} | default(true)" for name in names)

    def is_on(self, switches: Mapping[str, object]) -> bool:
        """Return whether a project with these switches has the capability."""
        if self.without:
            return not switches[f"use_{self.without}"]
        if self.any:
            return any(switches[f"use_{name}"] for name in self.any)
        return all(switches[f"use_{name}"] for name in self.all or (self.name,))


def declared() -> list[Capability]:
    """Return all capabilities, in the order of capabilities.yml."""
    entries = yaml.safe_load((ROOT / "capabilities.yml").read_text("utf-8"))
    return [Capability.read(name, fields) for name, fields in entries.items()]


def switches(capabilities: Iterable[Capability]) -> str:
    """Return the questions of copier.yml that nobody is asked: a switch for each capability."""
    rows = [
        f'{one.switch}:\n  type: bool\n  default: "{{{{ {one.when} }}}}"\n  when: false\n'
        for one in capabilities
        if one.when
    ]
    joining = [f"['{one.wiring}'] * {one.switch}" for one in capabilities if one.wiring]
    wiring = "\n    + ".join(joining)
    rows.append(
        "# The files of `app/wiring/`, in the order in which they join the service.\n"
        f"wiring:\n  type: yaml\n  default: >-\n    {{{{ {wiring} }}}}\n  when: false\n"
    )
    return "\n".join(rows)


def exclusions(capabilities: Iterable[Capability]) -> str:
    """Return the rows of `_exclude` that leave out the paths of what is off."""
    return "".join(
        f'  - "{{% if {one.off} %}}{path}{{% endif %}}"\n'
        for one in capabilities
        for path in one.paths
    )


def written(text: str, capabilities: list[Capability]) -> str:
    """Return the text of copier.yml with its written parts as the capabilities have them.

    Raises:
        ValueError: when the text has no place for a part.
    """
    for name, part in (
        ("switches", f"\n{switches(capabilities)}\n"),
        ("paths", exclusions(capabilities)),
    ):
        before, begin, rest = text.partition(BEGIN.format(name))
        line, _, rest = rest.partition("\n")
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"copier.yml has no place for the {name}.")
        text = f"{before}{begin}{line}\n{part}{end}{after}"
    return text


if __name__ == "__main__":
    path = ROOT / "copier.yml"
    path.write_text(written(path.read_text("utf-8"), declared()), "utf-8")
