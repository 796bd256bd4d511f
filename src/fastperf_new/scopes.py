"""Which import a name in a Python file stands for."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

# What a name is bound to: the imports, by statement and position in it; None for anything else.
Binding = tuple[ast.Import | ast.ImportFrom, int] | None
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(eq=False)
class _Scope:
    above: "_Scope | None"
    is_class: bool = False
    is_comprehension: bool = False
    bound: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: dict[str, bool] = field(default_factory=dict)  # declared global, or nonlocal

    def bind(self, name: str, binding: Binding = None) -> None:
        scope = self
        if name in scope.elsewhere:
            scope = scope._declared(name)
        scope.bound.setdefault(name, []).append(binding)

    def _declared(self, name: str) -> "_Scope":
        scope = self.above or self
        while scope.above and (self.elsewhere[name] or name not in scope.bound):
            scope = scope.above
        return scope

    def look_up(self, name: str) -> list[Binding]:
        if name in self.elsewhere:
            return self._declared(name).bound.get(name, [])
        scope: _Scope | None = self
        while scope:
            if name in scope.bound and (scope is self or not scope.is_class):
                return scope.bound[name]
            scope = scope.above
        return []


class Scopes(ast.NodeVisitor):
    """The scopes of a file; knows for each use of a name what it may be bound to."""

    def __init__(self, tree: ast.Module) -> None:
        self._scope = self._top = _Scope(None)
        self._uses: dict[ast.Name, _Scope] = {}
        self.visit(tree)

    def bindings(self, name: ast.Name) -> list[Binding]:
        """Return what a name may be bound to where it is used; empty for a builtin."""
        return self._uses[name].look_up(name.id)

    def _within(
        self, nodes: Iterable[ast.AST | None], *, is_class: bool = False, names: Iterable[str] = ()
    ) -> None:
        above = self._scope
        self._scope = _Scope(above, is_class)
        for name in names:
            self._scope.bind(name)
        self._all(nodes)
        self._scope = above

    def _all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node:
                self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self._uses[node] = self._scope
        if not isinstance(node.ctx, ast.Load):
            self._scope.bind(node.id)

    def visit_Import(self, node: ast.Import) -> None:
        for number, alias in enumerate(node.names):
            self._scope.bind(alias.asname or alias.name.partition(".")[0], (node, number))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for number, alias in enumerate(node.names):
            self._scope.bind(alias.asname or alias.name, (node, number))

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.bind(node.name)
        self._all(node.decorator_list)
        self._outside(node.args)
        self._all([node.returns])
        self._within([*getattr(node, "type_params", []), *node.body], names=_arguments(node.args))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._outside(node.args)
        self._within([node.body], names=_arguments(node.args))

    def _outside(self, arguments: ast.arguments) -> None:
        """Visit what of a function's arguments is evaluated outside of it."""
        self._all([*arguments.defaults, *arguments.kw_defaults])
        self._all(argument.annotation for argument in _each(arguments))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.bind(node.name)
        self._all([*node.decorator_list, *node.bases, *node.keywords])
        self._within([*getattr(node, "type_params", []), *node.body], is_class=True)

    def _visit_comprehension(self, node: _Comprehension) -> None:
        above = self._scope
        self._all([node.generators[0].iter])
        self._scope = _Scope(above, is_comprehension=True)
        for number, generator in enumerate(node.generators):
            self._all([generator.target, generator.iter if number else None, *generator.ifs])
        if isinstance(node, ast.DictComp):
            self._all([node.key, node.value])
        else:
            self._all([node.elt])
        self._scope = above

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._visit_comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._visit_comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._visit_comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._visit_comprehension(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        scope = self._scope
        while scope.is_comprehension and scope.above:
            scope = scope.above
        scope.bind(node.target.id)
        self._uses[node.target] = scope

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._scope.bind(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self._scope.bind(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._scope.bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self._scope.bind(node.rest)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self._scope.elsewhere |= dict.fromkeys(node.names, True)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self._scope.elsewhere |= dict.fromkeys(node.names, False)


def _each(arguments: ast.arguments) -> list[ast.arg]:
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return found + [one for one in (arguments.vararg, arguments.kwarg) if one]


def _arguments(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in _each(arguments)]
