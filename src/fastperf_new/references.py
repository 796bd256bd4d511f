"""References to what moved in a Python file: imports, attribute chains, strings, comments."""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fastperf_new import mentions
from fastperf_new.mentions import Edit, Place
from fastperf_new.scopes import Scopes

_NAME = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(:[A-Za-z_][\w.]*)?")
_LITERAL = re.compile(r"""(?is)[rbu]{0,2}('''|\"\"\"|'|")(?P<inner>.*)\1""")
_ABOUT_LINE = re.compile(r"#\s*(noqa|type:|pylint|pyright|ruff|isort|pragma)")
_END_OF_LINE = re.compile(rb"\r\n|\r|\n")

# Arguments whose strings name something outside of the code: a queue, a task.
_OUTSIDE = frozenset({"exchange", "key", "name", "prefix", "queue", "routing_key", "task_name"})

_Import = ast.Import | ast.ImportFrom


class UnreadableError(ValueError):
    """A Python file that does not parse."""


def module_of(path: str) -> tuple[str, str]:
    """Return the module that a file is, and the package that its relative imports start from."""
    parts = PurePosixPath(path).with_suffix("").parts
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), ".".join(parts[:-1])
    return ".".join(parts), ".".join(parts[:-1])


def may_refer(text: str, place: Place) -> bool:
    """Return quickly whether a file can hold a reference to what moved."""
    if place.old != place.new and re.search(r"^\s*from\s*\.", text, re.MULTILINE):
        return True
    words = {key.partition("/")[0].partition(".")[0] for key in place.moves.paths}
    words |= {key.partition(".")[0] for key in place.moves.dotted}
    folder = place.old.partition("/")[0]
    relative = folder in words and re.search(r"^\s*from\s*\.", text, re.MULTILINE)
    return bool(relative) or any(word in text for word in words)


def find(text: str, place: Place) -> mentions.Found:
    """Find the references to what moved in the text of a Python file.

    Raises:
        UnreadableError: when it does not parse.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(text.encode())
        return _File(text, tree, place).found
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UnreadableError(place.old) from None


@dataclass
class _Statement:
    """An import and what becomes of it.

    Attributes:
        names: for each imported name its full name before.
        more: statements to come after it.
        dropped: positions of names that are used no more.
    """

    node: _Import
    names: list[str]
    more: list[str] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)


class _File:
    def __init__(self, text: str, tree: ast.Module, place: Place) -> None:
        self.text, self.tree, self.place = text, tree, place
        self.moves = place.moves
        self.found = mentions.Found()
        self._content = text.encode()
        self._ascii = len(self._content) == len(text)
        self._lines = [0, *(end.end() for end in _END_OF_LINE.finditer(self._content))]
        _, self._package = module_of(place.old)
        _, self._new_package = module_of(place.new)
        nodes = list(ast.walk(tree))
        self._imports = {
            node: _Statement(node, list(self._full_names(node)))
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        self._taken = {node.id for node in nodes if isinstance(node, ast.Name)}
        self._chains(nodes)
        for statement in self._imports.values():
            self._rewrite(statement)
        self._strings_and_comments(nodes)

    # --- places ---

    def _offset(self, line: int, column: int) -> int:
        at = self._lines[line - 1] + column
        return at if self._ascii else len(self._content[:at].decode())

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        return (
            self._offset(node.lineno, node.col_offset),
            self._offset(node.end_lineno or node.lineno, node.end_col_offset or 0),
        )

    # --- imports ---

    def _full_names(self, node: _Import) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            return
        module = self._module(node, self._package)
        for alias in node.names:
            yield module if alias.name == "*" else f"{module}.{alias.name}"

    def _module(self, node: ast.ImportFrom, package: str) -> str:
        """Return the full name of the module that is imported from, in a package."""
        if not node.level:
            return node.module or ""
        parts = package.split(".") if package else []
        above = parts[: len(parts) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])

    def _rewrite(self, statement: _Statement) -> None:
        from fastperf_new import statements  # noqa: PLC0415  (libcst is slow to import)

        node = statement.node
        start, end = self._span(node)
        old = self.text[start:end]
        if isinstance(node, ast.Import):
            modules = [
                None if number in statement.dropped else self.moves.name(name)
                for number, name in enumerate(statement.names)
            ]
            changed = modules != statement.names
            new = statements.rewritten_import(old, modules) if changed else [old]
        else:
            targets = [
                None if number in statement.dropped else self._target(node, alias.name, full)
                for number, (alias, full) in enumerate(
                    zip(node.names, statement.names, strict=True)
                )
            ]
            module = "." * node.level + (node.module or "")
            changed = targets != [(module, alias.name) for alias in node.names]
            new = statements.rewritten_from(old, targets) if changed else [old]
            self._warn_of_star(node, statement.names[0])
        if changed or statement.more:
            self._replace_statement(start, end, [*new, *dict.fromkeys(statement.more)])

    def _warn_of_star(self, node: ast.ImportFrom, module: str) -> None:
        star = node.names[0].name == "*"
        if star and any(name.rpartition(".")[0] == module for name in self.moves.names):
            self.found.unsure.append(f"from {'.' * node.level}{node.module or ''} import *")

    def _target(self, node: ast.ImportFrom, name: str, full: str) -> tuple[str, str]:
        """Return where an imported name comes from afterwards, in the words of the statement."""
        new = self.moves.name(full)
        module, _, last = (new, "", "*") if name == "*" else new.rpartition(".")
        if self._module(node, self._new_package) == module:
            return ("." * node.level + (node.module or ""), last)
        if not node.level:
            return (module, last)
        package = self._new_package.split(".") if self._new_package else []
        wanted = module.split(".")
        common = 0
        while common < min(len(package), len(wanted)) and package[common] == wanted[common]:
            common += 1
        if not common:
            return (module, last)
        dots = "." * (len(package) - common + 1)
        return (dots + ".".join(wanted[common:]), last)

    def _replace_statement(self, start: int, end: int, new: list[str]) -> None:
        """Put statements in the place of one: each on a line of its own, if that one was."""
        before = self.text[:start]
        indent = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
        rest = re.split(r"[\r\n]", self.text[end:], maxsplit=1)[0]
        alone = not indent.strip() and re.fullmatch(r"\s*(#.*)?", rest)
        if not alone:
            self.found.edits.append(Edit(start, end, "; ".join(new) or "pass"))
            return
        comment = rest if _ABOUT_LINE.search(rest) else ""
        newline = re.search(r"\r\n|\r|\n", self.text)
        between = f"{comment}{newline[0] if newline else chr(10)}{indent}"
        self.found.edits.append(Edit(start, end, between.join(new) or "pass"))

    # --- attribute chains ---

    def _chains(self, nodes: list[ast.AST]) -> None:
        """Rewrite `app.database.gate.Gate` and `settings.Thing` where their import does not."""
        chains = list(self._candidates(nodes))
        if not chains:
            return
        scopes = Scopes(self.tree)
        left = Counter(node.id for node in nodes if isinstance(node, ast.Name))
        unused: dict[str, set[tuple[_Import, int]]] = {}
        for node, root in chains:
            bindings = scopes.bindings(root)
            known = [one for one in bindings if one]
            if known and len(known) < len(bindings):
                self.found.unsure.append(ast.unparse(node))
            elif known and self._rewrite_chain(node, root, known):
                left[root.id] -= 1
                unused.setdefault(root.id, set()).update(known)
        named = {node.value for node in nodes if isinstance(node, ast.Constant)}  # in `__all__`
        for name, imports in unused.items():
            if not left[name] and name not in named and not self.place.old.endswith("__init__.py"):
                for node_, number in imports:
                    self._imports[node_].dropped.add(number)

    def _candidates(self, nodes: list[ast.AST]) -> Iterator[tuple[ast.Attribute, ast.Name]]:
        """Give the attribute chains, and their roots, that may lead to what moved."""
        local: dict[str, set[str]] = {}
        for statement in self._imports.values():
            for alias, full in zip(statement.node.names, statement.names, strict=True):
                name = _local(statement.node, alias)
                local.setdefault(name, set()).add(_bound(statement.node, alias, full))
        inner: set[ast.AST] = set()
        for node in nodes:
            if not isinstance(node, ast.Attribute) or node in inner:
                continue
            attributes = _attributes(node)
            inner.update(attributes)
            root = attributes[0].value
            if not isinstance(root, ast.Name):
                continue
            words = [attribute.attr for attribute in attributes]
            keys = {
                bound: self.moves.key(".".join([bound, *words])) for bound in local.get(root.id, ())
            }
            if any(key.startswith(f"{bound}.") for bound, key in keys.items()):
                yield node, root

    def _rewrite_chain(
        self, node: ast.Attribute, root: ast.Name, bindings: list[tuple[_Import, int]]
    ) -> bool:
        """Rewrite one chain; return whether its root is no longer used by it."""
        statement, number = bindings[0]
        alias = statement.names[number]
        bound = _bound(statement, alias, self._imports[statement].names[number])
        attributes = _attributes(node)
        key = self.moves.key(".".join([bound, *(attribute.attr for attribute in attributes)]))
        if not key.startswith(f"{bound}."):
            return False
        attributes = attributes[: key.count(".") - bound.count(".")]
        words = [attribute.attr for attribute in attributes]
        start, _ = self._span(root)
        _, end = self._span(attributes[-1])
        if re.sub(r"[\s\\]", "", self.text[start:end]) != ".".join([root.id, *words]):
            self.found.unsure.append(ast.unparse(node))  # in an f-string, or with a comment within
            return False
        new = self.moves.dotted[key]
        module = new.rpartition(".")[0] if key in self.moves.names else new
        if isinstance(statement, ast.Import) and not alias.asname:
            imported = {
                self.moves.name(name)
                for other in self._imports.values()
                if isinstance(other.node, ast.Import)
                for name in other.names
            }
            if not any(f"{one}.".startswith(f"{module}.") for one in imported):
                self._imports[statement].more.append(f"import {module}")
            self.found.edits.append(Edit(start, end, new))
            return False
        above, _, last = new.rpartition(".")
        name = last
        if name in self._taken or self._is_imported(name, new):
            name = f"{above.rpartition('.')[2]}_{last}"
        suffix = "" if name == last else f" as {name}"
        for node_, _ in bindings:
            self._imports[node_].more.append(f"from {above} import {last}{suffix}")
        self.found.edits.append(Edit(start, end, name))
        return True

    def _is_imported(self, name: str, new: str) -> bool:
        """Return whether a local name stands for another import already."""
        return any(
            _local(statement.node, alias) == name and self.moves.name(full) != new
            for statement in self._imports.values()
            for alias, full in zip(statement.node.names, statement.names, strict=True)
        )

    # --- strings and comments ---

    def _strings_and_comments(self, nodes: list[ast.AST]) -> None:
        outside = {
            keyword.value
            for keyword in nodes
            if isinstance(keyword, ast.keyword) and keyword.arg in _OUTSIDE
        }
        texts = {node.value for node in nodes if isinstance(node, ast.Expr)}
        parts = {
            part for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
        }
        spans = [self._span(node) for node in self._imports]
        for node in nodes:
            if isinstance(node, ast.JoinedStr) and node not in parts - {node}:
                spans.append(self._span(node))
                self.found.unsure += self._mentioned(*spans[-1])
            elif isinstance(node, ast.Constant) and node not in parts:
                if isinstance(node.value, str | bytes):
                    spans.append(self._span(node))
                if isinstance(node.value, str):
                    self._string(node, *spans[-1], node in outside, node in texts)
        self._comments(spans)

    def _string(
        self, node: ast.Constant, start: int, end: int, outside: bool, is_text: bool
    ) -> None:
        value = str(node.value)
        if is_text:
            found = mentions.find(self.text, self.place, start, end)
            self.found.edits += found.edits
            self.found.unsure += found.unsure
            return
        name = _NAME.fullmatch(value)
        dotted = name[1] if name else ""
        new = value
        sure = True
        if "." in dotted and self.moves.key(dotted):
            new = self.moves.name(dotted) + value[len(dotted) :]
            sure = self.place.sure(dotted)
        elif not any(character.isspace() for character in value):
            path = value.removeprefix("./").rstrip("/")
            if self.place.moves.path(path) != path and ("/" in path or "." in path):
                new = value.replace(path, self.place.moves.path(path), 1)
                sure = self.place.has(path)
        literal = _LITERAL.fullmatch(self.text, start, end)
        if new != value and sure and literal and literal["inner"] == value and not outside:
            self.found.edits.append(Edit(*literal.span("inner"), new))
        elif new != value:
            self.found.unsure.append(value)
        else:
            self.found.unsure += self._mentioned(start, end)

    def _mentioned(self, start: int, end: int) -> list[str]:
        """Return what looks like a reference in a part of the text."""
        found = mentions.find(self.text, self.place, start, end)
        return found.unsure + [self.text[edit.start : edit.end] for edit in found.edits]

    def _comments(self, spans: list[tuple[int, int]]) -> None:
        """Rewrite the references in comments: a `#` that stands in no string begins one."""
        blank = list(self.text)
        for start, end in spans:
            blank[start:end] = [c if c in "\r\n" else " " for c in self.text[start:end]]
        for comment in re.finditer(r"#[^\r\n]*", "".join(blank)):
            found = mentions.find(self.text, self.place, *comment.span())
            self.found.edits += found.edits
            self.found.unsure += found.unsure


def _local(node: _Import, alias: ast.alias) -> str:
    """Return the name that an import binds."""
    if alias.asname:
        return alias.asname
    return alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name


def _bound(node: _Import, alias: ast.alias, full: str) -> str:
    """Return the full name of what an import binds."""
    if isinstance(node, ast.Import) and not alias.asname:
        return full.partition(".")[0]
    return full


def _attributes(node: ast.Attribute) -> list[ast.Attribute]:
    """Return the attributes of a chain from its root on."""
    found = [node]
    while isinstance(found[-1].value, ast.Attribute):
        found.append(found[-1].value)
    return found[::-1]
