"""Evaluate the conditions that guard imports, such as ``if is_peft_available():``, without running them.

A condition is known if it only asks which distributions are installed, and in which versions. Everything else (a GPU,
an environment variable, an attribute of a module) is unknown, and what it guards is not read: a requirement is never
invented.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from vc2doctor.core.versions import ABSENT
from vc2doctor.curate.wheels.contents import SOFT, Guards
from vc2doctor.curate.wheels.definitions import Definition

Condition = Mapping[str, str]
"""Specifiers by distribution that must all match; ``absent`` means that it is not installed. Empty: it always holds."""
ALWAYS: Condition = {}
NEVER: Condition = {"": ABSENT}
"""Never holds: no distribution has an empty name, and ``merged`` keeps it."""

TRUE_GUARDS = frozenset({"is_torch_available"})
"""Functions that return ``True`` in every environment that the doctor looks at: torch is installed."""
FALSE_GUARDS = frozenset({"is_sagemaker_mp_enabled", "is_fbcode"})
"""Functions that return ``False`` in every environment that the doctor looks at: SageMaker's library is not there, and
it is not Meta's own repository."""
FOREIGN_GUARDS = {
    "is_peft_available": "peft",
    "is_datasets_available": "datasets",
    "is_transformers_available": "transformers",
    "is_sentencepiece_available": "sentencepiece",
}
"""Functions of other packages that ask only whether a distribution is installed."""
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "cv2": "opencv-python", "pkg_resources": "setuptools"}
"""Distributions by import package, where the names differ."""
PROBES = frozenset({"_is_package_available", "is_package_available"})
"""Functions that return whether a package is installed, and its version if they are asked to."""
PARSERS = frozenset({"parse", "parse_version", "Version", "str"})
"""Functions that return the version that they get."""
MAX_DEPTH = 8
"""Calls and names that are followed for one guard: more are a loop, or code that is too clever to follow."""

_OPERATORS = {ast.GtE: ">=", ast.Gt: ">", ast.LtE: "<=", ast.Lt: "<", ast.Eq: "==", ast.NotEq: "!="}
_MIRRORED = {">=": "<=", ">": "<", "<=": ">=", "<": ">", "==": "==", "!=": "!="}
_COMPLEMENTS = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!=", "!=": "=="}
_COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


class _Present(NamedTuple):
    """The value of a call that asks for a package: whether it is installed, and which version."""

    distribution: str


class _VersionOf(NamedTuple):
    """The version of a distribution."""

    distribution: str


class _Difference(NamedTuple):
    """How the version of a distribution compares with another: negative if it is older, 0 if it is equal."""

    distribution: str
    text: str


class _Constant(NamedTuple):
    value: object


class _Known(NamedTuple):
    condition: Condition


_Value = _Present | _VersionOf | _Difference | _Constant | _Known | None
"""``None``: unknown."""


class Definitions(Protocol):
    """Finds the definitions of names; a reader of a wheel is one."""

    package: str

    def definition(self, module: str, name: str) -> Definition | None:
        """Return the only top-level definition of ``name`` in ``module``; ``None``: there is none, or several."""


def merged(first: Condition, second: Condition) -> Condition:
    """Return the condition that both hold."""
    result = dict(first)
    for name, text in second.items():
        known = result.get(name, "")
        if ABSENT in (text, known) and name in result and text != known:
            return NEVER
        result[name] = ",".join(dict.fromkeys(part for part in (*known.split(","), *text.split(",")) if part))
    return NEVER if "" in result else result


def negated(condition: Condition | None) -> Condition | None:
    """Return a condition under which another one does not hold; ``None``: there is none of this form.

    Of a version, the opposite is another version: that the distribution is absent as well is left out, so that the
    result holds in fewer environments than it could, and never in more.
    """
    if condition is None:
        return None
    if not condition or condition == NEVER:
        return NEVER if not condition else ALWAYS
    if len(condition) > 1:
        return None
    ((name, text),) = condition.items()
    if text in ("", ABSENT):
        return {name: ABSENT} if not text else {name: ""}
    parts = list(SpecifierSet(text))
    if len(parts) != 1 or parts[0].operator not in _COMPLEMENTS:
        return None
    return {name: f"{_COMPLEMENTS[parts[0].operator]}{parts[0].version}"}


class Evaluator:
    """Evaluates the guards of one wheel."""

    def __init__(self, definitions: Definitions) -> None:
        """Look names up in ``definitions``."""
        self._definitions = definitions
        self._results: dict[tuple[str, str], Condition | None] = {}

    def condition(self, guards: Guards, module: str) -> Condition | None:
        """Return the condition that all ``guards`` of a module hold; ``None``: it is unknown."""
        result: Condition = ALWAYS
        for guard in guards:
            text = guard.removeprefix(SOFT)
            key = module, text
            if key not in self._results:
                self._results[key] = self._evaluate(text, module)
            known = self._results[key]
            if known is None:
                if guard.startswith(SOFT):
                    continue
                return None
            result = merged(result, known)
        return result

    def _evaluate(self, text: str, module: str) -> Condition | None:
        return _as_condition(_Scope(self._definitions, module, {}, MAX_DEPTH).value(ast.parse(text, mode="eval").body))


def _as_condition(value: _Value) -> Condition | None:
    if isinstance(value, _Present):
        return {value.distribution: ""}
    if isinstance(value, _Known):
        return value.condition
    if isinstance(value, _Constant):
        return ALWAYS if value.value else NEVER
    return None


class _Scope:
    """Where an expression is evaluated: a module, and the local names of a function."""

    def __init__(self, definitions: Definitions, module: str, names: dict[str, _Value], depth: int) -> None:
        self._definitions = definitions
        self._module = module
        self._names = names
        self._depth = depth

    def value(self, node: ast.expr) -> _Value:
        """Return the value of an expression."""
        for kind, evaluate in self._evaluators.items():
            if isinstance(node, kind):
                return evaluate(node)
        return None

    @property
    def _evaluators(self) -> dict[type[ast.expr], Callable[[Any], _Value]]:
        return {
            ast.Constant: lambda node: _Constant(node.value),
            ast.Name: lambda node: self._name(node.id),
            ast.BoolOp: self._bool,
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare,
            ast.Subscript: self._subscript,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
        }

    def _unary(self, node: ast.UnaryOp) -> _Value:
        if not isinstance(node.op, ast.Not):
            return None
        condition = negated(_as_condition(self.value(node.operand)))
        return None if condition is None else _Known(condition)

    def _bool(self, node: ast.BoolOp) -> _Value:
        conditions = [_as_condition(self.value(value)) for value in node.values]
        if isinstance(node.op, ast.And):
            result: Condition = ALWAYS
            for condition in conditions:
                if condition is None:
                    return _Known(NEVER) if NEVER in conditions else None
                result = merged(result, condition)
            return _Known(result)
        if any(condition is not None and not condition for condition in conditions):
            return _Known(ALWAYS)
        possible = [condition for condition in conditions if condition != NEVER]
        if not possible:
            return _Known(NEVER)
        return _Known(possible[0]) if len(possible) == 1 and possible[0] is not None else None

    def _compare(self, node: ast.Compare) -> _Value:
        if len(node.ops) != 1:
            return None
        left, right = self.value(node.left), self.value(node.comparators[0])
        if isinstance(right, _Constant) and right.value is None and isinstance(left, _Present):
            # find_spec returns None if there is no such package.
            condition: Condition = {left.distribution: ABSENT if isinstance(node.ops[0], ast.Is) else ""}
            return _Known(condition)
        sign = _OPERATORS.get(type(node.ops[0]))
        if isinstance(left, _Constant) and isinstance(right, _VersionOf) and sign:
            left, right, sign = right, left, _MIRRORED[sign]
        if sign is None or not isinstance(right, _Constant):
            return None
        if isinstance(left, _VersionOf):
            return _specified(left.distribution, sign, str(right.value))
        if isinstance(left, _Difference):
            return _specified(left.distribution, sign, left.text) if right.value == 0 else None
        return _compared(left, sign, right) if isinstance(left, _Constant) else None

    def _subscript(self, node: ast.Subscript) -> _Value:
        value = self.value(node.value)
        if isinstance(value, _Present) and isinstance(node.slice, ast.Constant):
            return _Known({value.distribution: ""}) if node.slice.value == 0 else _VersionOf(value.distribution)
        return None

    def _attribute(self, node: ast.Attribute) -> _Value:
        if node.attr in ("base_version", "public", "release"):
            return self.value(node.value)
        if node.attr == "__version__" and isinstance(node.value, ast.Name):
            return _VersionOf(_distribution(node.value.id))
        return None

    def _call(self, node: ast.Call) -> _Value:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in TRUE_GUARDS | FALSE_GUARDS:
            return _Known(ALWAYS if name in TRUE_GUARDS else NEVER)
        if name in PROBES or name == "find_spec" or (name == "version" and isinstance(node.func, ast.Attribute)):
            argument = self.value(node.args[0]) if node.args else None
            if not isinstance(argument, _Constant):
                return None
            distribution = _distribution(str(argument.value))
            return _VersionOf(distribution) if name == "version" else _Present(distribution)
        if name in PARSERS and len(node.args) == 1:
            return self.value(node.args[0])
        if isinstance(node.func, ast.Name):
            return self._own_call(name, node)
        return None

    def _own_call(self, name: str, node: ast.Call) -> _Value:
        if name == "compare_versions":
            return _difference(*(self.value(argument) for argument in node.args))
        definition = self._followed(name)
        if definition is None:
            return None
        if isinstance(definition.node, ast.Import | ast.ImportFrom):
            return _Known({FOREIGN_GUARDS[name]: ""}) if name in FOREIGN_GUARDS else None
        if not isinstance(definition.node, ast.FunctionDef):
            return None
        return _Scope(
            self._definitions, definition.module, self._arguments(definition, node), self._depth - 1
        ).returned(definition.node.body)

    def _arguments(self, definition: Definition, call: ast.Call) -> dict[str, _Value]:
        assert isinstance(definition.node, ast.FunctionDef)  # noqa: S101 - for the type checker
        arguments = definition.node.args.args
        defaults = definition.node.args.defaults
        outer = _Scope(self._definitions, definition.module, {}, self._depth - 1)
        names: dict[str, _Value] = {argument.arg: None for argument in arguments}
        names.update(
            (argument.arg, outer.value(default))
            for argument, default in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True)
        )
        names.update((argument.arg, self.value(value)) for argument, value in zip(arguments, call.args, strict=False))
        names.update((keyword.arg, self.value(keyword.value)) for keyword in call.keywords if keyword.arg)
        return names

    def _name(self, name: str) -> _Value:
        if name in self._names:
            return self._names[name]
        definition = self._followed(name)
        if definition is None or not isinstance(definition.node, ast.Assign):
            return None
        scope = _Scope(self._definitions, definition.module, {}, self._depth - 1)
        scope.assign(definition.node)
        return scope.local(name)

    def local(self, name: str) -> _Value:
        """Return the value of a local name."""
        return self._names.get(name)

    def assign(self, node: ast.Assign) -> None:
        """Bind the names of an assignment."""
        value = self.value(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._names[target.id] = value
            elif isinstance(target, ast.Tuple):
                parts: tuple[_Value, ...] = (None,) * len(target.elts)
                if isinstance(value, _Present) and len(parts) == 2:  # noqa: PLR2004 - (is installed, version)
                    parts = (_Known({value.distribution: ""}), _VersionOf(value.distribution))
                for element, part in zip(target.elts, parts, strict=True):
                    if isinstance(element, ast.Name):
                        self._names[element.id] = part

    def _followed(self, name: str) -> Definition | None:
        """Return the definition of a name, through imports within the package; an import from another one stays."""
        module = self._module
        for _ in range(self._depth):
            definition = self._definitions.definition(module, name)
            if definition is None or not isinstance(definition.node, ast.ImportFrom):
                return definition
            target = definition.module
            if target.partition(".")[0] != self._definitions.package:
                return definition
            name = next((alias.name for alias in definition.node.names if (alias.asname or alias.name) == name), name)
            module = target
        return None

    def returned(self, body: list[ast.stmt]) -> _Value:
        """Return the value that a function's statements return; a function that raises returns false."""
        for index, node in enumerate(body):
            if isinstance(node, ast.Return):
                return self.value(node.value) if node.value else _Constant(value=False)
            if isinstance(node, ast.Raise):
                return _Constant(value=False)
            if isinstance(node, ast.Assign):
                self.assign(node)
            elif isinstance(node, ast.Try):
                return self.returned([*node.body, *node.orelse, *body[index + 1 :]])
            elif isinstance(node, ast.If):
                return self._branched(node, body[index + 1 :])
            elif not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom):
                return None
        return _Constant(value=False)

    def _branched(self, node: ast.If, rest: list[ast.stmt]) -> _Value:
        test = _as_condition(self.value(node.test))
        if test is not None and not test:
            return self.returned([*node.body, *rest])
        if test == NEVER:
            return self.returned([*node.orelse, *rest])
        taken = _Scope(self._definitions, self._module, dict(self._names), self._depth).returned([*node.body, *rest])
        other = _Scope(self._definitions, self._module, dict(self._names), self._depth).returned([*node.orelse, *rest])
        first, second = _as_condition(taken), _as_condition(other)
        if first is not None and first == second:
            return _Known(first)
        if first == NEVER:
            opposite = negated(test)
            return None if opposite is None or second is None else _Known(merged(opposite, second))
        if second == NEVER:
            return None if test is None or first is None else _Known(merged(test, first))
        return None


def _difference(*values: _Value) -> _Value:
    match values:
        case (_VersionOf(distribution), _Constant(text)):
            return _Difference(distribution, str(text))
    return None


def _specified(distribution: str, sign: str, text: str) -> _Value:
    try:
        SpecifierSet(f"{sign}{text}")
    except InvalidSpecifier:
        return None
    return _Known({distribution: f"{sign}{text}"})


def _compared(left: _Constant, sign: str, right: _Constant) -> _Value:
    try:
        return _Constant(_COMPARE[sign](Version(str(left.value)), Version(str(right.value))))
    except InvalidVersion:
        return None


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return canonicalize_name(DISTRIBUTIONS.get(top, top))
