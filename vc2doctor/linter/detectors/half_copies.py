"""Moving averages that are kept in half precision, and updates that are written back into half weights."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import HALF_DTYPES
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, is_inference_path
from vc2doctor.linter.analyse.weights import Cast
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Function, Module, root_name

_AVERAGES = re.compile(r"^(EMA\w*|ModelEma\w*|\w*EMAModel|ExponentialMovingAverage|AveragedModel)$")
_FLOAT32 = re.compile(r"\.float\(\)|float32")
_RATE = re.compile(r"\blr\b|\.lr\b|learning_rate|step_size")
_URL = "https://docs.pytorch.org/docs/stable/notes/amp_examples.html"


def half_averages(facts: Facts) -> Iterator[CodeFinding]:
    """Yield moving averages that are made of a model after its cast to half precision (VC109)."""
    for cast in facts.weights.casts:
        if cast.stage is Stage.INFERS or not cast.dtypes & HALF_DTYPES or not isinstance(cast.receiver, ast.Name):
            continue
        for call in cast.call.place.module.calls_in(cast.call.place.function):
            if _AVERAGES.match(call.name) and _is_of(call, cast) and not _is_upcast(call, cast):
                place = build.place_of(call.place.module, cast.call.node)
                yield build.at_node(
                    call.place.module,
                    call.node,
                    "VC109",
                    Severity.NOTE,
                    f"the moving average is made of {cast.name} after its cast, so it may be kept in half precision: "
                    "with a decay close to 1 its updates are rounded away",
                    evidence=(f"cast at {place.location}",),
                    remedy="Make the average before the cast, or cast its own parameters to float32.",
                    url=_URL,
                    role="cast",
                    also=(place,),
                )
                break


def _is_of(average: Call, cast: Cast) -> bool:
    first = average.node.args[0] if average.node.args else None
    model = first.func.value if isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute) else first
    is_later = average.node.lineno > cast.call.node.lineno
    is_same = isinstance(model, ast.expr) and ast.unparse(model) == ast.unparse(cast.receiver)
    return is_later and is_same and not are_exclusive(average.place, cast.call.place)


def _is_upcast(average: Call, cast: Cast) -> bool:
    """Return whether the model, or the average, is made float32 between the cast and the use of the average."""
    name = ast.unparse(cast.receiver)
    targets = [ast.unparse(each) for each in average.place.targets]
    later = (
        call
        for call in average.place.module.calls_in(average.place.function)
        if call.node.lineno > cast.call.node.lineno and call.name in ("to", "float", "cast_training_params")
    )
    return (
        any(_FLOAT32.search(ast.unparse(call.node)) and root_name(call.node.func) in (name, *targets) for call in later)
        or "cast_training_params" in average.place.module.source.text
    )


def rounded_updates(facts: Facts) -> Iterator[CodeFinding]:
    """Yield updates that are computed in float32 and written back into the half weight, with no copy kept (VC109)."""
    for module in facts.code.files.modules.values():
        if "alpha=-" in module.source.text and "float" in module.source.text and not is_inference_path(module.name):
            # The step of an optimizer class serves models of every dtype.
            for function in (each for each in module.functions if each.name != "step"):
                found = list(_updates(module, function))
                if found:
                    yield _rounded(module, found)


def _updates(module: Module, function: Function) -> Iterator[ast.AST]:
    """Yield ``value.add_(gradient, alpha=-lr)`` of a local float32 copy that the weight then gets."""
    for call in module.calls_in(function):
        alpha, name = call.argument("alpha"), ast.unparse(call.receiver)
        is_step = call.name == "add_" and alpha is not None and _RATE.search(ast.unparse(alpha)) is not None
        if not is_step or not isinstance(call.receiver, ast.Name):
            continue
        values = [value for value, _ in function.names.get(name, [])]
        # A part of the copy: `copy.narrow(0, start, size)`.
        values += [value for part in values for value, _ in function.names.get(root_name(part), [])]
        is_copy = any(_FLOAT32.search(ast.unparse(value)) and _is_of_weight(value) for value in values)
        if is_copy and any(_writes_back(module, function, name, call.node.lineno)):
            yield call.node


def _is_of_weight(value: ast.expr) -> bool:
    return re.match(r"(p|param\w*|weight|\w*_p|\w*_param)\b", ast.unparse(value)) is not None


def _writes_back(module: Module, function: Function, name: str, line: int) -> Iterator[bool]:
    for call in module.calls_in(function):
        is_copy = call.name == "copy_" and any(ast.unparse(each) == name for each in call.node.args)
        yield is_copy and call.node.lineno >= line
    for place in module.statements:
        statement = place.statement
        if isinstance(statement, ast.Assign) and place.function is function and statement.lineno >= line:
            is_target = isinstance(statement.targets[0], ast.Attribute | ast.Subscript)
            yield is_target and re.match(rf"{re.escape(name)}\b", ast.unparse(statement.value)) is not None


def _rounded(module: Module, nodes: list[ast.AST]) -> CodeFinding:
    first, *others = nodes
    return build.at_node(
        module,
        first,
        "VC109",
        Severity.NOTE,
        "the update is computed in float32 and written back into the weight: where that is half, and no float32 copy "
        "is kept, small updates are rounded away",
        remedy="Keep a float32 copy of what is trained, or round stochastically.",
        url=_URL,
        role="cast",
        also=tuple(build.place_of(module, node) for node in others),
    )
