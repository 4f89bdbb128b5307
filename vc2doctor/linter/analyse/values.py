"""What an expression can be: constants, defaults, configuration keys and dtypes, over files; never computed."""

import ast
import operator
from typing import Any, NamedTuple

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.config import UNKNOWN, Unknown
from vc2doctor.linter.read.module import Class, Function, Place, last_name


class Dtype(NamedTuple):
    """A dtype of torch, by its plain name: ``float16``."""

    name: str


HALF, BFLOAT, FLOAT = Dtype("float16"), Dtype("bfloat16"), Dtype("float32")

Value = Any
"""A constant, a ``Dtype``, or ``UNKNOWN``."""

_NAMES = {
    **dict.fromkeys(("float16", "half", "fp16", "torch.float16", "torch.half"), HALF),
    **dict.fromkeys(("bfloat16", "bf16", "torch.bfloat16"), BFLOAT),
    **dict.fromkeys(("float32", "float", "fp32", "torch.float32", "torch.float"), FLOAT),
}
CONFIG_ROOTS = {
    *("config", "cfg", "conf", "configs", "args", "opt", "opts", "hparams", "hps", "params", "run_cfg", "train_config"),
    *("model_config", "cfgs", "train_cfg", "model_cfg", "cfg_model", "config_dict"),
}
_DEEPEST = 10
_MOST = 24
_PATIENCE = 2000
"""So many expressions are followed for one question; code that needs more decides at run time."""


def as_dtype(value: Value) -> Value:
    """Return a value given where a dtype belongs (``"bf16"``) as a ``Dtype``, else as it is."""
    return _NAMES.get(value, value) if isinstance(value, str) else value


_Question = tuple[ast.expr, Function]
"""An expression, and the function it stands in."""


class Values:
    """Answers what expressions can be, within one project."""

    def __init__(self, code: CodeFacts) -> None:
        self._code = code
        self._busy: set[_Question | None] = set()
        self._known: dict[_Question, frozenset[Value]] = {}
        self._cut: set[_Question | None] = set()
        self._asked = 0

    def dtypes(self, expression: ast.expr, place: Place) -> frozenset[Value]:
        """Return the dtypes an expression can be; ``UNKNOWN`` among them where that cannot be read."""
        return frozenset(as_dtype(value) for value in self.of(expression, place))

    def decide(self, expression: ast.expr, place: Place, depth: int = 0) -> bool | None:
        """Return whether an expression is true or false in every reading; ``None``: it can be either."""
        seen = {None if isinstance(value, Unknown) else bool(value) for value in self.of(expression, place, depth)}
        return seen.pop() if len(seen) == 1 else None

    def reached(self, place: Place, depth: int = 0) -> bool | None:
        """Return whether the conditions around a place hold; ``False``: it is dead; ``None``: a run decides."""
        decided = [(self.decide(test, place, depth), wanted) for test, wanted in place.tests]
        if any(value is not None and value is not wanted for value, wanted in decided):
            return False
        return None if any(value is None for value, _ in decided) else True

    def of(self, expression: ast.expr, place: Place, depth: int = 0) -> frozenset[Value]:
        """Return the values an expression can have at a place."""
        key = (expression, place.function)
        if key in self._known:
            return self._known[key]
        self._asked = self._asked + 1 if self._busy else 0
        if depth > _DEEPEST or key in self._busy or self._asked > _PATIENCE:
            # What was cut short holds for this question only, and must not be remembered.
            self._cut.add(key if key in self._busy else None)
            return frozenset([UNKNOWN])
        self._busy.add(key)
        try:
            found = self._of(expression, place, depth + 1)
        finally:
            self._busy.discard(key)
            self._cut.discard(key)
        found = found if 0 < len(found) <= _MOST else frozenset([UNKNOWN])
        if not self._busy:
            self._cut.clear()
        if not self._cut:
            self._known[key] = found
        return found

    def _of(self, expression: ast.expr, place: Place, depth: int) -> frozenset[Value]:  # noqa: PLR0911
        match expression:
            case ast.Constant():
                return frozenset([expression.value])
            case ast.IfExp():
                return self._choice(expression, place, depth)
            case ast.UnaryOp():
                return self._unary(expression, place, depth)
            case ast.BoolOp():
                return self._boolean(expression, place, depth)
            case ast.Compare(ops=[compared], comparators=[right]):
                return self._compare(compared, self.of(expression.left, place, depth), self.of(right, place, depth))
            case ast.Name():
                return self._name(expression.id, place, depth)
            case ast.Attribute():
                return self._attribute(expression, place, depth)
            case ast.Call():
                return self._call(expression, place, depth)
            case ast.Subscript():
                return self._subscript(expression, place, depth)
        return frozenset([UNKNOWN])

    def _choice(self, expression: ast.IfExp, place: Place, depth: int) -> frozenset[Value]:
        decided = self.decide(expression.test, place, depth)
        arms = {True: [expression.body], False: [expression.orelse], None: [expression.body, expression.orelse]}[
            decided
        ]
        return frozenset().union(*(self.of(arm, place, depth) for arm in arms))

    def _unary(self, expression: ast.UnaryOp, place: Place, depth: int) -> frozenset[Value]:
        inner = self.of(expression.operand, place, depth)
        if isinstance(expression.op, ast.Not):
            return frozenset(UNKNOWN if isinstance(value, Unknown) else not value for value in inner)
        if isinstance(expression.op, ast.USub):
            return frozenset(-value if isinstance(value, int | float) else UNKNOWN for value in inner)
        return frozenset([UNKNOWN])

    def _boolean(self, expression: ast.BoolOp, place: Place, depth: int) -> frozenset[Value]:
        deciding = isinstance(expression.op, ast.Or)
        found: set[Value] = set()
        for at, part in enumerate(expression.values):
            values = self.of(part, place, depth)
            ends = {value for value in values if isinstance(value, Unknown) or bool(value) is deciding}
            last = at == len(expression.values) - 1
            found |= values if last else ends
            if ends == values and UNKNOWN not in values:
                break
        return frozenset(found)

    @staticmethod
    def _compare(compared: ast.cmpop, left: frozenset[Value], right: frozenset[Value]) -> frozenset[Value]:
        calculated = {
            ast.Eq: operator.eq,
            ast.NotEq: operator.ne,
            ast.Is: operator.is_,
            ast.IsNot: operator.is_not,
            ast.Gt: operator.gt,
            ast.GtE: operator.ge,
            ast.Lt: operator.lt,
            ast.LtE: operator.le,
        }.get(type(compared))
        found: set[Value] = set()
        for first in left:
            for second in right:
                if calculated is None or isinstance(first, Unknown) or isinstance(second, Unknown):
                    found.add(UNKNOWN)
                    continue
                try:
                    found.add(bool(calculated(as_dtype(first), as_dtype(second))))
                except TypeError:
                    found.add(UNKNOWN)
        return frozenset(found)

    def _name(self, name: str, place: Place, depth: int) -> frozenset[Value]:
        scope: Function | None = place.function
        while scope is not None:
            if name in scope.names:
                return self._assigned(scope.names[name], depth)
            if name in scope.parameters():
                return self._parameter(scope, name, depth)
            scope = scope.outer
        imported = place.module.imports.get(name)
        if imported is not None:
            return self._dotted(imported) or self._imported(place, imported, depth)
        return frozenset([UNKNOWN])

    def _imported(self, place: Place, dotted: str, depth: int) -> frozenset[Value]:
        owner, _, name = dotted.rpartition(".")
        module = self._code.module_named(place.module, owner) if owner.strip(".") else None
        if module is None or name not in module.functions[0].names:
            return frozenset([UNKNOWN])
        return self._assigned(module.functions[0].names[name], depth)

    def _assigned(self, assigned: list[tuple[ast.expr, Place]], depth: int) -> frozenset[Value]:
        found: set[Value] = set()
        for value, where in assigned:
            if self.reached(where, depth) is not False:
                found |= self.of(value, where, depth)
        return frozenset(found)

    def _parameter(self, function: Function, name: str, depth: int) -> frozenset[Value]:
        default = function.defaults().get(name)
        found: set[Value] = set()
        callers = self._code.callers(function) or self._code.same_name_calls(function)
        position = function.position(name)
        for call in callers:
            given = call.argument(name, position)
            if given is not None:
                found |= self.of(given, call.place, depth)
            elif any(keyword.arg is None for keyword in call.node.keywords):
                found.add(UNKNOWN)
            elif default is not None:
                found |= self.of(default, Place(function.outer or function), depth)
        if not callers:
            found |= self.of(default, Place(function.outer or function), depth) if default is not None else {UNKNOWN}
        return frozenset(found) or frozenset([UNKNOWN])

    @staticmethod
    def _dotted(dotted: str) -> frozenset[Value] | None:
        return frozenset([_NAMES[dotted]]) if dotted.startswith("torch.") and dotted in _NAMES else None

    def _attribute(self, expression: ast.Attribute, place: Place, depth: int) -> frozenset[Value]:
        dtype = self._dotted(place.module.dotted(expression))
        if dtype is not None:
            return dtype
        cls = place.function.cls
        if isinstance(expression.value, ast.Name) and expression.value.id == "self" and cls is not None:
            return self._own(cls, expression.attr, depth)
        key = config_key(expression)
        return self._configured(place, key, None, depth) if key else frozenset([UNKNOWN])

    def _own(self, cls: Class, name: str, depth: int) -> frozenset[Value]:
        for each in self._code.mro(cls):
            if name in each.attributes:
                return self._assigned(each.attributes[name], depth)
        return frozenset([UNKNOWN])

    def _call(self, expression: ast.Call, place: Place, depth: int) -> frozenset[Value]:
        name = last_name(expression.func)
        arguments = expression.args
        if name == "get" and isinstance(expression.func, ast.Attribute) and arguments:
            key = config_key(expression.func.value, whole=True)
            if key is not None and isinstance(arguments[0], ast.Constant):
                dotted = ".".join(part for part in (key, str(arguments[0].value)) if part)
                default = arguments[1] if len(arguments) > 1 else ast.Constant(None)
                return self._configured(place, dotted, default, depth)
        if name == "getattr" and len(arguments) > 1:
            return self._getattr(arguments, place, depth)
        if name in ("bool", "dtype", "float", "int") and len(arguments) == 1:
            return self.of(arguments[0], place, depth)
        return frozenset([UNKNOWN])

    def _getattr(self, arguments: list[ast.expr], place: Place, depth: int) -> frozenset[Value]:
        names = self.of(arguments[1], place, depth)
        if place.module.dotted(arguments[0]) == "torch":
            return frozenset(as_dtype(name) if isinstance(as_dtype(name), Dtype) else UNKNOWN for name in names)
        key = config_key(arguments[0], whole=True)
        name = next(iter(names)) if len(names) == 1 else None
        if key is not None and isinstance(name, str):
            default = arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004 - getattr(object, name, default)
            return self._configured(place, ".".join(part for part in (key, name) if part), default, depth)
        return frozenset([UNKNOWN])

    def _configured(self, place: Place, key: str, default: ast.expr | None, depth: int) -> frozenset[Value]:
        entries = [config.find(key) for config in self._code.configs_of(place)]
        found = {_plain(entry.value) for entry in entries if entry is not None}
        if default is not None and (not found or any(entry is None for entry in entries)):
            found |= self.of(default, place, depth)
        return frozenset(found) or frozenset([UNKNOWN])

    def _subscript(self, expression: ast.Subscript, place: Place, depth: int) -> frozenset[Value]:
        if isinstance(expression.value, ast.Dict):
            table = expression.value
            keys = self.of(expression.slice, place, depth)
            pairs = [(key, value) for key, value in zip(table.keys, table.values, strict=True) if key is not None]
            chosen = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value in keys]
            return frozenset().union(
                *(self.of(value, place, depth) for value in chosen or [value for _, value in pairs])
            )
        key = config_key(expression)
        return self._configured(place, key, None, depth) if key else frozenset([UNKNOWN])


def _plain(value: Value) -> Value:
    return value if isinstance(value, bool | int | float | str | None) else UNKNOWN


def config_key(expression: ast.expr, *, whole: bool = False) -> str | None:
    """Return the dotted key that an expression reads of a configuration: ``optimizer.lr`` of ``config.optimizer.lr``.

    ``whole``: the expression may be the configuration itself, whose key is ``""``. ``None``: it is no configuration.
    """
    parts: list[str] = []
    while True:
        if isinstance(expression, ast.Attribute):
            parts.append(expression.attr)
            expression = expression.value
        elif isinstance(expression, ast.Subscript) and isinstance(expression.slice, ast.Constant):
            parts.append(str(expression.slice.value))
            expression = expression.value
        else:
            break
    if not isinstance(expression, ast.Name):
        return None
    if expression.id == "self":
        if not parts or parts[-1] not in CONFIG_ROOTS:
            return None
        parts.pop()
    elif expression.id not in CONFIG_ROOTS:
        return None
    return ".".join(reversed(parts)) if parts or whole else None
