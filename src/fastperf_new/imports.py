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
        f"{path} imports {name}"
        for path, tree in trees.items()
        for name in _imported(path, tree)
        if not modules.has(name)
    }


def _parse(content: bytes) -> ast.Module | None:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):
        return None


class _Modules:
    """The modules of a project, and the names that each defines."""

    def __init__(self, paths: Iterable[str], trees: Mapping[str, ast.Module]) -> None:
        self.trees = trees
        self.files = {_module(path): path for path in sorted(paths)}
        self.packages = {
            ".".join(PurePosixPath(path).parts[:depth])
            for path in self.files.values()
            for depth in range(1, len(PurePosixPath(path).parts))
        }

    def has(self, name: str) -> bool:
        """Return whether a dotted name is a module, or a name in one; others' modules are."""
        top = name.partition(".")[0]
        if top not in _PACKAGES and top not in self.packages and top not in self.files:
            return True
        if name in self.files or name in self.packages:
            return True
        module, _, attribute = name.rpartition(".")
        if module not in self.files:
            return False
        tree = self.trees.get(self.files[module])
        return tree is None or attribute in (names := set(_names(tree.body))) or "*" in names


def _module(path: str) -> str:
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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


def _certain(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, past what is tried and may fail."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not (isinstance(child, ast.Try) and child.handlers):
            yield from _certain(child)


def _names(body: list[ast.stmt]) -> Iterator[str]:
    """Give the names that statements of a module define; `*` when that cannot be known."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield "*" if node.name == "__getattr__" else node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]
        else:
            for child in ast.walk(node):
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                    yield child.id
                elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield child.name
                elif isinstance(child, ast.Import | ast.ImportFrom):
                    for alias in child.names:
                        yield alias.asname or alias.name.partition(".")[0]
                elif isinstance(child, ast.MatchStar | ast.MatchAs) and child.name:
                    yield child.name
