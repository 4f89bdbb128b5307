"""Methods of the project that override one of a package, and do not take what a release of the package passes."""

import ast
import copy
from collections.abc import Iterator, Sequence

from vc2doctor.linter.analyse.api_names import Inherited
from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.knowledge.api_shapes import Passed, foreign_bases, passed_to
from vc2doctor.linter.knowledge.api_table import Existence
from vc2doctor.linter.knowledge.engine_branches import engine_of
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
        refused = [
            passed
            for passed in passed_to(package, base, method.name)
            if not _takes(method, passed) and _is_called(known, passed.caller)
        ]
        # What a run without FSDP passes, too, comes first: it decides how certain the finding is.
        always = [passed for passed in refused if not engine_of(method.name, passed.what)]
        yield from _refusal(context, f"{known.classes[0].name}.{method.name}", package.name, method, always or refused)


def _refusal(
    context: ModuleContext, label: str, package: str, method: Function, refused: Sequence[Passed]
) -> Iterator[Use]:
    """Yield the use that a method makes of a package which passes what the method does not take."""
    bad = 0
    for passed in refused:
        bad |= passed.bits
    everything = context.table.packages[package].everything
    # What every release passes is not a matter of releases.
    if bad and bad != everything:
        existence = Existence(package, everything & ~bad)
        problems = tuple((passed.bits, _described(passed, method)) for passed in refused)
        hint = _open_signature(method, is_by_position=any(passed.what.isdecimal() for passed in refused))
        engines = {engine_of(method.name, passed.what) for passed in refused}
        for use in context.use("override", label, existence, _signature(method), hint):
            yield use._replace(problems=problems, only_with=next(iter(engines)))


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


def _open_signature(method: Function, *, is_by_position: bool) -> str:
    """Return the first line of a method that takes what it takes now, and whatever else a release passes."""
    if isinstance(method.node, ast.Module):
        return ""
    arguments = copy.deepcopy(method.node.args)
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    if is_by_position:
        arguments.vararg = arguments.vararg or ast.arg("args")
    arguments.kwarg = arguments.kwarg or ast.arg("kwargs")
    return f"def {method.name}({ast.unparse(arguments)})"


def _described(passed: Passed, method: Function) -> str:
    count = "1 argument" if passed.what == "1" else f"{passed.what} arguments"
    what = f"{count} by position" if passed.what.isdecimal() else f"{passed.what}="
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
