"""Methods of the project that override one of a package, and do not take what a release of the package passes."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.analyse.api_names import Inherited
from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.knowledge.api_shapes import Passed, foreign_bases, passed_to
from vc2doctor.linter.knowledge.api_table import Existence
from vc2doctor.linter.read.module import Function, last_name

_SKIPPED = frozenset({"__init__", "forward"})


def override_uses(context: ModuleContext) -> Iterator[Use]:
    """Yield the overridden methods that some release calls with more than they take."""
    for cls in context.module.classes.values():
        known = context.base_of(cls)
        if known is None:
            continue
        for name, method in cls.methods.items():
            if name not in _SKIPPED and not method.decorators and not context.is_guarded(_statement(method)):
                yield from _of_method(context, known, method)


def _statement(method: Function) -> ast.stmt | None:
    return method.node if isinstance(method.node, ast.stmt) else None


def _of_method(context: ModuleContext, known: Inherited, method: Function) -> Iterator[Use]:
    own = context.table.packages.get(known.base.partition(".")[0])
    bases = (known.base, *sorted(foreign_bases(own, known.base))) if own else ()
    for base in bases:
        package = context.table.packages.get(base.partition(".")[0])
        if package is None:
            continue
        problems: list[tuple[int, str]] = []
        bad = 0
        for passed in passed_to(package, base, method.name):
            if not _takes(method, passed) and _is_called(known, passed.caller):
                problems.append((passed.bits, _described(passed, method)))
                bad |= passed.bits
        # What every release passes is not a matter of releases.
        if bad and bad != package.everything:
            label = f"{known.classes[0].name}.{method.name}"
            existence = Existence(package.name, package.everything & ~bad)
            hint = f"def {method.name}(self, ..., **kwargs)"
            for use in context.use("override", label, existence, _signature(method), hint):
                yield use._replace(problems=tuple(problems))


def _is_called(known: Inherited, caller: str) -> bool:
    """Return whether the method of the package that calls still runs: the project may override it, too."""
    own = next((cls.methods[caller] for cls in known.classes if caller in cls.methods), None)
    return own is None or any(
        call.name == caller
        and isinstance(call.node.func, ast.Attribute)
        and isinstance(call.node.func.value, ast.Call)
        and last_name(call.node.func.value.func) == "super"
        for call in own.module.calls_in(own)
    )


def _takes(method: Function, passed: Passed) -> bool:
    if isinstance(method.node, ast.Module):
        return True
    arguments = method.node.args
    if passed.what.isdecimal():
        # The object itself is the first.
        count = len(arguments.posonlyargs) + len(arguments.args) - 1
        return arguments.vararg is not None or count >= int(passed.what)
    return arguments.kwarg is not None or passed.what in method.parameters()


def _described(passed: Passed, method: Function) -> str:
    what = f"{passed.what} arguments by position" if passed.what.isdecimal() else f"{passed.what}="
    return f"passes {what} to {method.name} in {passed.caller}"


def _signature(method: Function) -> ast.AST:
    """Return the lines of a method's parameters, as a node."""
    node = method.node
    if isinstance(node, ast.Module):
        return node
    last = max(
        (argument.end_lineno or node.lineno for argument in ast.walk(node.args) if isinstance(argument, ast.arg)),
        default=node.lineno,
    )
    return ast.Pass(lineno=node.lineno, end_lineno=last, col_offset=node.col_offset, end_col_offset=node.col_offset)
