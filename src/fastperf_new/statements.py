"""Import statements with other modules and names; comments and layout stay."""

from collections.abc import Sequence

import libcst as cst

# Where an imported name comes from: a module, relative ones with their dots, and a name in it.
Target = tuple[str, str]


def rewritten_import(statement: str, modules: Sequence[str | None]) -> list[str]:
    """Return `import a, b as c` with other modules; nothing when no name is left.

    Args:
        modules: for each of its names the module, or None for a name that goes.
    """
    module = cst.parse_module(statement)
    node = _small(module)
    if not isinstance(node, cst.Import):
        raise TypeError(statement)
    names = [
        alias if _code(alias.name) == new else alias.with_changes(name=_dotted(new))
        for alias, new in zip(node.names, modules, strict=True)
        if new
    ]
    if not names:
        return []
    names[-1] = names[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return [_written(module, node.with_changes(names=names))]


def rewritten_from(statement: str, targets: Sequence[Target | None]) -> list[str]:
    """Return `from a import b, c` as one statement a module.

    Args:
        targets: for each of its names where it comes from, or None for a name that goes.
    """
    module = cst.parse_module(statement)
    node = _small(module)
    if not isinstance(node, cst.ImportFrom):
        raise TypeError(statement)
    if isinstance(node.names, cst.ImportStar):
        return [_written(module, _from(node, target[0])) for target in targets if target]
    groups: dict[str, list[cst.ImportAlias]] = {}
    for alias, target in zip(node.names, targets, strict=True):
        if target:
            groups.setdefault(target[0], []).append(_renamed(alias, target[1]))
    whole = len(groups) == 1 and None not in targets
    return [
        _written(
            module,
            _from(node, name).with_changes(names=aliases if whole else _ended(aliases, node.names)),
        )
        for name, aliases in groups.items()
    ]


def _small(module: cst.Module) -> cst.BaseSmallStatement:
    (line,) = module.body
    if not isinstance(line, cst.SimpleStatementLine):
        raise TypeError(module.code)
    return line.body[0]


def _written(module: cst.Module, node: cst.Import | cst.ImportFrom) -> str:
    (line,) = module.body
    return module.with_changes(body=[line.with_changes(body=[node])]).code


def _code(node: cst.CSTNode | None) -> str:
    return cst.Module([]).code_for_node(node) if node else ""


def _dotted(name: str) -> cst.BaseExpression:
    return cst.parse_expression(name)


def _from(node: cst.ImportFrom, module: str) -> cst.ImportFrom:
    """Return the statement with another module, if it is another one."""
    name = module.lstrip(".")
    dots = len(module) - len(name)
    if (_code(node.module), len(node.relative)) == (name, dots):
        return node
    space = cst.SimpleWhitespace(" ")
    return node.with_changes(
        module=_dotted(name) if name else None,
        relative=[cst.Dot()] * dots,
        whitespace_after_from=space,
        # `from .import x` has none, `from . import x` has it here
        whitespace_before_import=node.whitespace_before_import if node.module and name else space,
    )


def _renamed(alias: cst.ImportAlias, name: str) -> cst.ImportAlias:
    """Return the same local name for a thing that may have another one now."""
    old = _code(alias.name)
    if name in (old, "*"):
        return alias
    local = _code(alias.asname.name) if alias.asname else old
    asname = None if local == name else alias.asname or cst.AsName(cst.Name(local))
    return alias.with_changes(name=cst.Name(name), asname=asname)


def _ended(
    aliases: list[cst.ImportAlias], whole: Sequence[cst.ImportAlias]
) -> list[cst.ImportAlias]:
    """Return some names of a statement with the comma after the last one as it is there."""
    comma, end = aliases[-1].comma, whole[-1].comma
    if isinstance(comma, cst.Comma) and isinstance(end, cst.Comma):
        after, last = comma.whitespace_after, end.whitespace_after
        if isinstance(after, cst.ParenthesizedWhitespace) and isinstance(
            last, cst.ParenthesizedWhitespace
        ):
            last = last.with_changes(first_line=after.first_line)  # it may have a comment
        end = comma.with_changes(whitespace_after=last)
    return [*aliases[:-1], aliases[-1].with_changes(comma=end)]
