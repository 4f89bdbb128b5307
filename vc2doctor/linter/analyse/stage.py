"""Is this code that trains, or code that only infers? By the words of its path, and by what it does."""

import ast
import re
from enum import Enum

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.read.module import Call, Class, Function, Module, Place, last_name


class Stage(Enum):
    """What a piece of code does, as far as that can be read."""

    TRAINS = "trains"
    INFERS = "infers"
    UNKNOWN = "unknown"


_INFERENCE_PATH = {
    *("eval", "evals", "evaluation", "evaluate", "evaluator", "demo", "demos", "test", "tests", "testing", "inference"),
    *(
        "infer",
        "serve",
        "serving",
        "gradio",
        "cli",
        "convert",
        "converter",
        "conversion",
        "consolidate",
        "conversation",
    ),
    *("export", "benchmark", "benchmarks", "annotator", "preprocess", "preprocessing", "extract", "generation", "app"),
    *("predict", "chatbot", "notebook", "notebooks", "playground", "apply", "merge", "quantize", "deploy", "metrics"),
}
_INFERENCE_NAME = {
    *(
        "generate",
        "generation",
        "predict",
        "prediction",
        "infer",
        "inference",
        "evaluate",
        "evaluation",
        "eval",
        "test",
    ),
    *(
        "validate",
        "validation",
        "valid",
        "val",
        "answer",
        "demo",
        "sample",
        "chat",
        "decode",
        "rollout",
        "rank",
        "caption",
    ),
}
_OPTIMISERS = re.compile(
    r"^(create_optimizer|build_optimizer|AdamW?(8bit)?|SGD|Adafactor|Lion|configure_optimizers|get_optimizer)$"
)
_TRAINERS = re.compile(
    r"^(\w*Trainer|\w*TrainingArguments|SFTConfig|DPOConfig|get_peft_model|prepare_model_for_\w+_training)$"
)

_LEARNING = re.compile(r"^_?(forward(?!_(test|eval|infer))\w*|training_step|compute_loss|loss)$")


def words(text: str) -> set[str]:
    """Return the words of a path or name: ``eval_utils.py`` → eval, utils, py."""
    return set(re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower()))


def infers_by_path(name: str) -> bool:
    """Say whether a file's path says that it evaluates, serves, converts or tests."""
    return bool(words(name.removesuffix(".py")) & _INFERENCE_PATH)


def infers_by_name(name: str) -> bool:
    """Say whether a function's name says that it generates, evaluates or tests."""
    return bool(words(name) & _INFERENCE_NAME) and not words(name) & {"train", "training"}


def without_gradients(place: Place) -> bool:
    """Say whether a place stands under ``no_grad`` or ``inference_mode``."""
    function: Function | None = place.function
    while function is not None:
        if any(_turns_off(decorator) for decorator in function.decorators):
            return True
        function = function.outer
    return any(_turns_off(manager) for manager in place.withs)


def _turns_off(expression: ast.expr) -> bool:
    name = last_name(expression.func if isinstance(expression, ast.Call) else expression)
    return name in ("no_grad", "inference_mode")


class Stages:
    """Answers for one project which code trains."""

    def __init__(self, code: CodeFacts) -> None:
        self._code = code
        self._trains: dict[Class | Module, bool] = {}

    def of(self, place: Place) -> Stage:
        """Return what the code at ``place`` does."""
        module, function = place.module, place.function
        if infers_by_path(module.name) or without_gradients(place) or self._infers_by_name(function):
            return Stage.INFERS
        if function.cls is not None:
            if self.learns(function.cls):
                return Stage.TRAINS
            return Stage.TRAINS if self.trains(module) and not is_module(self._code, function.cls) else Stage.UNKNOWN
        if self.trains(module):
            return Stage.TRAINS
        return Stage.INFERS if _puts_to_eval(module) else Stage.UNKNOWN

    @staticmethod
    def _infers_by_name(function: Function) -> bool:
        scope: Function | None = function
        while scope is not None:
            if infers_by_name(scope.name):
                return True
            scope = scope.outer
        return False

    def learns(self, cls: Class) -> bool:
        """Say whether a class, a base or a subclass of it has a ``forward`` that computes a loss."""
        known = self._trains.get(cls)
        if known is None:
            methods = [method for each in self._code.family(cls) for method in each.methods.values()]
            known = any(_speaks_of_loss(method.node) for method in methods if _LEARNING.match(method.name))
            self._trains[cls] = known
        return known

    def trains(self, module: Module) -> bool:
        """Say whether a module makes an optimiser, a trainer or an adapter, or runs a backward pass."""
        known = self._trains.get(module)
        if known is None:
            known = any(_is_training(call) for call in module.calls)
            self._trains[module] = known
        return known


def is_module(code: CodeFacts, cls: Class) -> bool:
    """Say whether a class is a torch module, by its bases or its ``forward``."""
    return "forward" in cls.methods or any(base.endswith(("Module", "PreTrainedModel")) for base in code.bases(cls))


def _speaks_of_loss(node: ast.AST) -> bool:
    for found in ast.walk(node):
        if isinstance(found, ast.Name) and ("loss" in found.id.lower() or found.id == "labels"):
            return True
        if isinstance(found, ast.Attribute) and found.attr == "cross_entropy":
            return True
        if isinstance(found, ast.keyword | ast.arg) and "loss" in (found.arg or "").lower():
            return True
        if isinstance(found, ast.keyword) and found.arg == "labels":
            return True
    return False


def _is_training(call: Call) -> bool:
    return call.name in ("backward", "loss_scaler") or bool(_OPTIMISERS.match(call.name) or _TRAINERS.match(call.name))


def _puts_to_eval(module: Module) -> bool:
    return any(call.name in ("eval", "generate") and isinstance(call.node.func, ast.Attribute) for call in module.calls)
