"""Finds the values that an expression can have: constants, defaults, configuration keys and dtypes, across files.

Values are looked up, never computed: arithmetic and calls give ``UNKNOWN``.
"""

import ast
from dataclasses import dataclass, field

from vc2doctor.linter.analyse.config_keys import config_key, joined, maker_of, still_alive, table_at
from vc2doctor.linter.analyse.dtypes import (
    Dtype,
    Value,
    as_dtype,
    compare,
    contained,
    of_flag,
    plain,
    torch_dtype,
    unary,
)
from vc2doctor.linter.analyse.expressions import constant_element
from vc2doctor.linter.analyse.instances import Instances
from vc2doctor.linter.analyse.on_cuda import on_cuda
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.arguments import Argument
from vc2doctor.linter.read.config import UNKNOWN, Unknown
from vc2doctor.linter.read.module import Assigned, Call, Class, Function, Place, last_name

MAX_DEPTH = 10
"""Nested questions that are followed: a name, its assignment, the argument that a caller gives, and so on."""
MAX_VALUES = 24
"""Values of one expression. With more of them only a run can tell, so the answer is ``UNKNOWN``."""
MAX_EVALUATIONS = 2000
"""Expressions that are evaluated to answer one outermost question. The limit bounds the time on a large project."""


_ONLY_UNKNOWN: frozenset[Value] = frozenset([UNKNOWN])

Question = tuple[ast.expr, Function]
"""An expression, and the function that it is in."""


@dataclass
class _Search:
    """The evaluation of one outermost question, with all questions that it leads to.

    An answer may be cached only if it is complete. It is incomplete if the search was cut short below it: by a limit,
    or because an expression depends on itself (``a = b``, ``b = a``).
    """

    in_progress: set[Question] = field(default_factory=set)
    """Questions that are being answered: the outermost one, the one that it led to, and so on."""
    open_cycles: set[Question] = field(default_factory=set)
    """Questions that came up again while they were in progress. Until such a question is answered itself, the answers
    of the questions that lead back to it are incomplete."""
    evaluations: int = 0
    limit_was_hit: bool = False

    def must_stop(self, question: Question, depth: int) -> bool:
        """Return whether a question must not be followed, and record why."""
        if question in self.in_progress:
            self.open_cycles.add(question)
            return True
        if depth > MAX_DEPTH or self.evaluations > MAX_EVALUATIONS:
            self.limit_was_hit = True
            return True
        return False

    def finish(self, question: Question) -> None:
        """Record that a question has its answer."""
        self.in_progress.discard(question)
        self.open_cycles.discard(question)

    @property
    def is_complete(self) -> bool:
        """Whether the answer that was just found may be cached.

        The answer of the outermost question is cached even if a limit was hit, because the same question would hit the
        same limit again.
        """
        return not self.in_progress or not (self.limit_was_hit or self.open_cycles)


class Values:
    """Tells which values expressions of one project can have."""

    def __init__(self, code: CodeFacts) -> None:
        self._code = code
        self._instances = Instances(code)
        self._answers: dict[Question, frozenset[Value]] = {}
        self._search = _Search()

    def dtypes(self, expression: ast.expr, place: Place) -> frozenset[Value]:
        """Return the dtypes that an expression can have; ``UNKNOWN`` is among them if one cannot be read."""
        return frozenset(as_dtype(value) for value in self.of(expression, place))

    def truth(self, expression: ast.expr, place: Place, depth: int = 0) -> bool | None:
        """Return whether an expression is always true or always false; ``None``: it can be either."""
        truths = {None if isinstance(value, Unknown) else bool(value) for value in self.of(expression, place, depth)}
        return truths.pop() if len(truths) == 1 else None

    def is_reached(self, place: Place, depth: int = 0) -> bool | None:
        """Return whether the conditions around a place hold; ``False``: never; ``None``: only a run can tell."""
        truths = [(self.truth(condition, place, depth), wanted) for condition, wanted in place.conditions]
        if any(truth is not None and truth is not wanted for truth, wanted in truths):
            return False
        return None if any(truth is None for truth, _ in truths) else True

    def of(self, expression: ast.expr, place: Place, depth: int = 0) -> frozenset[Value]:
        """Return the values that an expression can have at a place; ``depth`` counts the questions that led here."""
        question = (expression, place.function)
        if question in self._answers:
            return self._answers[question]
        if self._search.in_progress:
            self._search.evaluations += 1
        else:
            self._search = _Search()
        search = self._search
        if search.must_stop(question, depth):
            return _ONLY_UNKNOWN
        search.in_progress.add(question)
        try:
            values = self._evaluate(expression, place, depth + 1)
        finally:
            search.finish(question)
        if UNKNOWN in values:
            values = on_cuda(expression) or values
        if not 0 < len(values) <= MAX_VALUES:
            values = _ONLY_UNKNOWN
        if search.is_complete:
            self._answers[question] = values
        return values

    def _evaluate(self, expression: ast.expr, place: Place, depth: int) -> frozenset[Value]:  # noqa: C901, PLR0911 - one case per kind of expression
        match expression:
            case ast.Constant():
                return frozenset([expression.value])
            case ast.IfExp():
                return self._conditional(expression, place, depth)
            case ast.UnaryOp():
                return unary(expression.op, self.of(expression.operand, place, depth))
            case ast.BoolOp():
                return self._boolean(expression, place, depth)
            case ast.Compare(ops=[ast.In() | ast.NotIn() as comparison], comparators=[right]):
                return self._membership(expression.left, right, place, depth, is_in=isinstance(comparison, ast.In))
            case ast.Compare(ops=[comparison], comparators=[right]):
                return compare(comparison, self.of(expression.left, place, depth), self.of(right, place, depth))
            case ast.Name():
                return self._name(expression.id, place, depth)
            case ast.Attribute():
                return self._attribute(expression, place, depth)
            case ast.Call():
                return self._call(expression, place, depth)
            case ast.Subscript():
                return self._subscript(expression, place, depth)
        return _ONLY_UNKNOWN

    def _membership(
        self, left: ast.expr, right: ast.expr, place: Place, depth: int, *, is_in: bool
    ) -> frozenset[Value]:
        """Return the results of ``precision in ("fp16", "bf16")``, and of ``"fp16" in precision`` for texts."""
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            members = frozenset().union(*(self.of(element, place, depth) for element in right.elts))
            containers: frozenset[Value] = frozenset([members])
        else:
            containers = self.of(right, place, depth)
        return contained(self.of(left, place, depth), containers, is_in=is_in)

    def _conditional(self, expression: ast.IfExp, place: Place, depth: int) -> frozenset[Value]:
        truth = self.truth(expression.test, place, depth)
        branches = {
            True: [expression.body],
            False: [expression.orelse],
            None: [expression.body, expression.orelse],
        }[truth]
        return frozenset().union(*(self.of(branch, place, depth) for branch in branches))

    def _boolean(self, expression: ast.BoolOp, place: Place, depth: int) -> frozenset[Value]:
        # `a or b` is a where a is true, else b; `a and b` is a where a is false, else b.
        deciding_truth = isinstance(expression.op, ast.Or)
        *firsts, last = expression.values
        result: set[Value] = set()
        for operand in firsts:
            values = self.of(operand, place, depth)
            deciding = {value for value in values if isinstance(value, Unknown) or bool(value) is deciding_truth}
            result |= deciding
            if deciding == values and UNKNOWN not in values:
                # The later operands are never evaluated.
                return frozenset(result)
        return frozenset(result | self.of(last, place, depth))

    def _name(self, name: str, place: Place, depth: int) -> frozenset[Value]:
        for scope in place.function.scopes():
            if name in scope.names:
                alive = still_alive(scope.names[name], scope, place)
                return self._assigned(self._without_replaced(alive, place, depth), depth)
            if name in scope.parameters():
                return self._parameter(scope, name, depth)
        imported = place.module.imports.get(name)
        if imported is None:
            # What is guarded by the name of the main module runs when the file is started.
            return frozenset(["__main__"]) if name == "__name__" else _ONLY_UNKNOWN
        return torch_dtype(imported) or self._imported(place, imported, depth)

    def _without_replaced(self, assigned: list[Assigned], place: Place, depth: int) -> list[Assigned]:
        """Return assignments of a local name without those that a later one replaces, because its condition holds."""
        is_local = all(each.function is place.function and each.statement is not None for _, each in assigned)
        if len(assigned) < 2 or not is_local or place.statement is None:  # noqa: PLR2004 - one has nothing to replace
            return assigned
        lines = [
            each.statement.lineno
            for _, each in assigned
            if each.statement is not None
            and each.statement.lineno < place.statement.lineno
            and each.loop_depth <= place.loop_depth
            and self.is_reached(each, depth) is True
        ]
        last = max(lines, default=0)
        return [each for each in assigned if each[1].statement is None or each[1].statement.lineno >= last]

    def _imported(self, place: Place, dotted: str, depth: int) -> frozenset[Value]:
        owner, _, name = dotted.rpartition(".")
        module = self._code.module_named(place.module, owner) if owner.strip(".") else None
        if module is None or name not in module.level.names:
            return _ONLY_UNKNOWN
        return self._assigned(module.level.names[name], depth)

    def _assigned(self, assignments: list[Assigned], depth: int) -> frozenset[Value]:
        """Return the values that a name has after any of its assignments, without those that are never reached."""
        values: set[Value] = set()
        for expression, place in assignments:
            if self.is_reached(place, depth) is not False:
                values |= self.of(expression, place, depth)
        return frozenset(values)

    def _parameter(self, function: Function, name: str, depth: int) -> frozenset[Value]:
        """Return the values that the callers of a function give to a parameter; without callers, its default."""
        calls = self._code.callers(function) or self._code.same_name_calls(function)
        position = function.position(name)
        values: set[Value] = set()
        for call in calls:
            argument = call.argument(name, position)
            if argument is not None:
                values |= self.of(argument, call.place, depth)
            elif any(keyword.arg is None for keyword in call.node.keywords):
                # `**kwargs` can hold the parameter.
                values.add(UNKNOWN)
            else:
                values |= self._default(function, name, depth)
        if not calls:
            values |= self._default(function, name, depth) or _ONLY_UNKNOWN
        return frozenset(values) or _ONLY_UNKNOWN

    def _default(self, function: Function, name: str, depth: int) -> frozenset[Value]:
        default = function.defaults().get(name)
        if default is None:
            return frozenset()
        # A default is evaluated where the function is defined.
        return self.of(default, Place(function.outer or function), depth)

    def _attribute(self, expression: ast.Attribute, place: Place, depth: int) -> frozenset[Value]:
        dtype = torch_dtype(place.module.dotted(expression))
        if dtype is not None:
            return dtype
        cls = place.function.cls
        if isinstance(expression.value, ast.Name) and expression.value.id == "self" and cls is not None:
            return self._attribute_of_self(cls, expression.attr, depth)
        if isinstance(expression.value, ast.Name):
            made = maker_of(expression.value.id, place)
            if made is not None and made.name == "Accelerator" and expression.attr == "mixed_precision":
                return self._of_accelerator(made, depth)
            if made is not None and made.name == "parse_args":
                return self._config_value(place, expression.attr, None, depth)
        values = self._of_instance(expression, place, depth)
        if UNKNOWN not in values:
            return values
        key = config_key(expression)
        return self._config_value(place, key, None, depth) if key else _ONLY_UNKNOWN

    def _of_instance(self, expression: ast.Attribute, place: Place, depth: int) -> frozenset[Value]:
        """Return the values of an attribute of a class of the project, or of an object that its code makes."""
        named = self._code.resolve(place.module, place.module.dotted(expression.value))
        if isinstance(named, Class):
            return self._attribute_of_self(named, expression.attr, depth)
        found = self._instances.given(expression, place)
        if found is None:
            return _ONLY_UNKNOWN
        values = self._assigned([each for each in found[1] if each is not None], depth)
        return values | self._attribute_of_self(found[0], expression.attr, depth) if None in found[1] else values

    def _of_accelerator(self, made: Call, depth: int) -> frozenset[Value]:
        """Return the precision that an ``Accelerator`` was given; without one a command or a file decides."""
        precision = made.argument("mixed_precision", 2)
        values = self.of(precision, made.place, depth) if precision is not None else _ONLY_UNKNOWN
        return frozenset(UNKNOWN if value is None else value for value in values)

    def _attribute_of_self(self, cls: Class, name: str, depth: int) -> frozenset[Value]:
        for owner in self._code.mro(cls):
            if name in owner.attributes:
                return self._assigned(owner.attributes[name], depth)
        return _ONLY_UNKNOWN

    def _call(self, expression: ast.Call, place: Place, depth: int) -> frozenset[Value]:
        name, arguments = last_name(expression.func), expression.args
        match (expression.func, arguments):
            case (ast.Attribute(attr="get", value=receiver), [ast.Constant(value=key), *rest]):
                prefix = config_key(receiver, whole=True)
                if prefix is not None:
                    default = rest[0] if rest else ast.Constant(None)
                    return self._config_value(place, joined(prefix, str(key)), default, depth)
        if name == "getattr" and len(arguments) > 1:
            return self._getattr(arguments, place, depth)
        if name in ("bool", "dtype", "float", "int", "str") and len(arguments) == 1:
            return self.of(arguments[0], place, depth)
        return self._returned(Call(expression, place), depth)

    def _returned(self, call: Call, depth: int) -> frozenset[Value]:
        """Return the values that a function of the project returns."""
        callee = self._code.callee(call)
        if callee is None or callee.name == "__init__" or not callee.returned:
            return _ONLY_UNKNOWN
        return self._assigned(callee.returned, depth) or _ONLY_UNKNOWN

    def _getattr(self, arguments: list[ast.expr], place: Place, depth: int) -> frozenset[Value]:
        receiver, name, *rest = arguments
        names = self.of(name, place, depth)
        if place.module.dotted(receiver) == "torch":
            dtypes = [as_dtype(value) for value in names]
            return frozenset(dtype if isinstance(dtype, Dtype) else UNKNOWN for dtype in dtypes)
        prefix = config_key(receiver, whole=True)
        only_name = next(iter(names)) if len(names) == 1 else None
        if prefix is not None and isinstance(only_name, str):
            return self._config_value(place, joined(prefix, only_name), rest[0] if rest else None, depth)
        return _ONLY_UNKNOWN

    def _config_value(self, place: Place, key: str, default: ast.expr | None, depth: int) -> frozenset[Value]:
        """Return the values of a key in the configurations that ``place`` reads.

        The default is one of the values if a configuration lacks the key.
        """
        entries = [config.find(key) for config in self._code.configs_of(place)]
        values = {plain(entry.value) for entry in entries if entry is not None}
        if not values:
            values = self._argument_values(place, key.rpartition(".")[2], depth)
        if default is not None and (not values or None in entries):
            values |= self.of(default, place, depth)
        # What code sets on its configuration is one value of several: a flag decides whether the code gets there.
        assigned = self._code.unit_of(place.module).set_on_configs.get(key, []) if values else []
        values |= self._assigned(assigned, depth)
        return frozenset(values) or _ONLY_UNKNOWN

    def _declared(self, place: Place, name: str) -> list[Argument]:
        """Return the declarations of an argument in the programs of a place; all of its unit if there are none.

        An export script may declare ``--precision`` with another default than the training program.
        """
        declared = self._code.unit_of(place.module).arguments.get(name, [])
        if len(declared) < 2:  # noqa: PLR2004 - one declaration needs no choice
            return declared
        together = self._code.together_with(place.module)
        return [argument for argument in declared if argument.function.module in together] or declared

    def _argument_values(self, place: Place, name: str, depth: int) -> set[Value]:
        """Return the values of a command-line argument: those that launch scripts give, and its default.

        Without a launch script a default that turns something off is one value of several: a command line that nobody
        wrote down can give another one. So can a file whose content is unpacked into the class of the fields:
        ``TrainConfig(**json.load(file))``.
        """
        unit = self._code.unit_of(place.module)
        declared = self._declared(place, name)
        if not declared:
            return set()
        values: set[Value] = set()
        given = [launch.flags.get(f"--{name}") for launch in unit.launches if not launch.is_documented]
        shown = [launch.flags.get(f"--{name}") for launch in unit.launches if launch.is_documented]
        for flag in (*given, *shown):
            values |= {of_flag(flag)} if flag is not None else set()
        if None in given or not given:
            for argument in declared:
                values |= self.of(argument.default, Place(argument.function), depth)
        is_filled = any(argument.cls is not None and unit.unpacks_into(argument.cls) for argument in declared)
        if (not given and not all(values)) or is_filled:
            values.add(UNKNOWN)
        return values

    def _subscript(self, expression: ast.Subscript, place: Place, depth: int) -> frozenset[Value]:
        if (element := constant_element(expression)) is not None:
            return self.of(element, place, depth)
        table = table_at(expression.value, place)
        if table is None:
            key = config_key(expression)
            return self._config_value(place, key, None, depth) if key else _ONLY_UNKNOWN
        keys = self.of(expression.slice, place, depth)
        pairs = [(key, value) for key, value in zip(table.keys, table.values, strict=True) if key is not None]
        chosen = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value in keys]
        # A key that only a run can tell can be any of the table.
        candidates = chosen if chosen and UNKNOWN not in keys else [value for _, value in pairs]
        return frozenset().union(*(self.of(value, place, depth) for value in candidates))
