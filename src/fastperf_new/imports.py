"""Imports among a project's own modules that lead nowhere."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

# What a template's package is called, also where the user renamed it.
_PACKAGES = frozenset({"app", "tests"})


def missing(files: Mapping[str, bytes]) -> set[str]:
    """Return each import of a module or name that is not there, as `path imports name`.

    Args:
        files: the Python files of a project by path. One that does not parse is left out, as
            git's conflict markers are listed elsewhere.
    """
    trees = {path: tree for path, content in files.items() if (tree := _parse(content))}
    modules = _Modules(files.keys(), trees)
    return {
        sentence(path, name)
        for path, tree in trees.items()
        for name in _imported(path, tree)
        if not modules.has(name)
    }


def sentence(path: str, name: str) -> str:
    """Return how an import that leads nowhere is listed."""
    return f"{path} imports {name}"


def parts(sentence: str) -> tuple[str, str]:
    """Return the path and the name of a listed import."""
    path, _, name = sentence.rpartition(" imports ")
    return path, name


def _parse(content: bytes) -> ast.Module | None:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class _Modules:
    """The modules of a project, and the names that each defines."""

    def __init__(self, paths: Iterable[str], trees: Mapping[str, ast.Module]) -> None:
        self.trees = trees
        self._names: dict[str, frozenset[str]] = {}
        self.files = {name: path for path in sorted(paths) for name in _modules(path)}
        self.packages = {
            name.rsplit(".", depth)[0]
            for name in self.files
            for depth in range(1, name.count(".") + 1)
        }

    def has(self, name: str) -> bool:
        """Return whether a dotted name is a module, or a name in one; others' modules are."""
        top = name.partition(".")[0]
        if top not in _PACKAGES and top not in self.files:
            return True  # a folder without `__init__.py` yields to an installed package
        if name in self.files or name in self.packages:
            return True
        module, _, attribute = name.rpartition(".")
        if module not in self.files:
            return False
        tree = self.trees.get(self.files[module])
        if tree is None or (attribute.startswith("__") and attribute.endswith("__")):
            return True
        if module not in self._names:
            self._names[module] = frozenset(names(tree.body))
        found = self._names[module]
        return attribute in found or "*" in found or "__getattr__" in found


def _modules(path: str) -> Iterator[str]:
    """Give the names of a module: from the project's folder, and from a package of ours in it."""
    parts = PurePosixPath(path).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    for start, part in enumerate(parts):
        if start == 0 or part in _PACKAGES:
            yield ".".join(parts[start:])


def _imported(path: str, tree: ast.Module) -> Iterator[str]:
    """Give the dotted names that a module imports, but for those that it can do without."""
    package = PurePosixPath(path).parent.parts
    for node in _certain(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield module if alias.name == "*" else f"{module}.{alias.name}"


def _certain(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk a tree, past what may fail or is never run."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        if not _may_fail(node):
            todo += ast.iter_child_nodes(node)


def _may_fail(node: ast.AST) -> bool:
    if isinstance(node, ast.Try | ast.TryStar):
        return bool(node.handlers)
    if isinstance(node, ast.With):
        return any("suppress" in ast.dump(item.context_expr) for item in node.items)
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def names(body: list[ast.stmt]) -> Iterator[str]:
    """Give the names that a module's statements may define; `*` when that cannot be known."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
            yield from (
                n for inner in ast.walk(node) if isinstance(inner, ast.Global) for n in inner.names
            )
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.MatchStar | ast.MatchAs | ast.ExceptHandler) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest
        todo += ast.iter_child_nodes(node)
