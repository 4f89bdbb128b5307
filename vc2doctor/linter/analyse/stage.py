"""Decides whether code trains or only infers: by the words of its path and names, and by the calls it makes."""

import ast
import re
from enum import Enum

from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.optimizers import TRAINING_OPTIMIZERS
from vc2doctor.linter.read.module import Call, Class, Function, Module, Place, last_name


class Stage(Enum):
    """What a piece of code does, as far as it can be read."""

    TRAINS = "trains"
    INFERS = "infers"
    UNKNOWN = "unknown"


_INFERENCE_PATH_WORDS = {
    *("eval", "evals", "evaluation", "evaluate", "evaluator", "demo", "demos", "test", "tests", "testing", "inference"),
    *("infer", "serve", "serving", "gradio", "cli", "convert", "converter", "conversion", "consolidate"),
    *("conversation", "export", "benchmark", "benchmarks", "annotator", "preprocess", "preprocessing", "extract"),
    *("generation", "app", "predict", "chatbot", "notebook", "notebooks", "playground", "apply", "merge", "quantize"),
    *("deploy", "metrics"),
}
_QUANTIZED_FOLDER = re.compile(
    r"(?<![a-z])(int)?[48]-?_?bits?(?![a-z])[^/]*/|(?<![a-z])(gptq|awq|int[48])[^/]*/", re.IGNORECASE
)
"""A folder named for a quantization: ``12B_8bit/``."""
_BENCHMARK_WORDS = {"benchmark", "benchmarks"}
_BENCHMARK = re.compile(r"benchmarks?", re.IGNORECASE)
_OF_TESTS = re.compile(r"^\s*(def test_|import (pytest|unittest)|from (pytest|unittest))", re.MULTILINE)
"""What a file of tests has in its text."""
_TRAINING_FILE_WORDS = {"train", "training", "pretrain", "finetune", "finetuning", "sft"}
"""Words of a file's own name that outweigh a folder of benchmarks."""
_PREPARATION_FOLDER = re.compile(
    r"(?<![a-z])data(sets?)?[_-]?(pre)?(process|processing|preparation|prepare|cleaning|collection)/", re.IGNORECASE
)
"""A folder with programs that make the training data: ``data_process/``. The models in it are run and not trained."""
_WEAK_PATH_WORDS = {
    *("cli", "app", "apply", "conversation", "generation", "notebook", "notebooks", "playground", "metrics", "demo"),
    *("demos", "gradio", "convert", "merge", "preprocess", "preprocessing", "extract", "export"),
}
"""Words of a path that say inference only where the code beside them runs no backward pass."""
_INFERENCE_FUNCTION_WORDS = {
    *("generate", "generation", "predict", "prediction", "infer", "inference", "evaluate", "evaluation", "eval"),
    *("test", "validate", "validation", "valid", "val", "answer", "demo", "sample", "chat", "decode", "rollout"),
    *("rank", "caption", "merge", "remerge", "export"),
}
_TRAINING_FUNCTION_WORDS = {"train", "training", "trainval", "target", "targets", "loss", "losses"}
_TRAINER_CALLS = re.compile(
    r"^(\w*Trainer|\w*TrainingArguments|SFTConfig|DPOConfig|get_peft_model|prepare_model_for_\w+_training)$"
)
_TRAINING_METHODS = re.compile(r"^_?(forward(?!_(test|eval|infer))\w*|training_step|compute_loss|loss)$")


def words(text: str) -> set[str]:
    """Return the words of a path or name in lower case: ``evalUtils_2.py`` → eval, utils, 2, py.

    Letters that stand for words are one word: ``KDLoss`` → kd, loss. One letter belongs to what follows: ``UNet``.
    """
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", re.sub(r"([A-Z]{2,})([A-Z][a-z])", r"\1 \2", text))
    return set(re.findall(r"[a-z]+|\d+", spaced.lower()))


def is_inference_path(name: str) -> bool:
    """Return whether the path of a file says that it evaluates, serves, converts or tests.

    A folder named for a quantization, or for the preparation of data, holds the code of a model that is only run.
    """
    found = words(name.removesuffix(".py")) & _INFERENCE_PATH_WORDS
    # What a benchmark is of can be a model that it trains first.
    trains_by_name = found <= _BENCHMARK_WORDS and words(name.rpartition("/")[2]) & _TRAINING_FILE_WORDS
    has_word = bool(found) and not trains_by_name
    return has_word or any(folder.search(name) for folder in (_QUANTIZED_FOLDER, _PREPARATION_FOLDER))


def is_inference_config(name: str) -> bool:
    """Return whether the path of an engine's configuration says that it only evaluates.

    A folder of benchmarks does not say so: an engine's settings of a half precision are there to train a model.
    """
    return is_inference_path(_BENCHMARK.sub("", name))


def is_inference_name(name: str) -> bool:
    """Return whether the name of a function says that it generates, evaluates or tests.

    A name that says "train", "target" or "loss" as well is that of a part of a training step.
    """
    return bool(words(name) & _INFERENCE_FUNCTION_WORDS) and not words(name) & _TRAINING_FUNCTION_WORDS


def is_without_gradients(place: Place) -> bool:
    """Return whether a place is under ``no_grad`` or ``inference_mode``."""
    decorators = (decorator for scope in place.function.scopes() for decorator in scope.decorators)
    return any(disables_gradients(expression) for expression in (*decorators, *place.contexts))


def disables_gradients(expression: ast.expr) -> bool:
    """Return whether a context or a decorator is ``no_grad`` or ``inference_mode``."""
    name = last_name(expression.func if isinstance(expression, ast.Call) else expression)
    return name in ("no_grad", "inference_mode")


class Stages:
    """Tells which code of one project trains."""

    def __init__(self, code: CodeFacts) -> None:
        self._code = code
        self._trains: dict[Class | Module, bool] = {}
        self._takes_losses: dict[Function, bool] = {}
        self._infers: dict[Module, bool] = {}

    def of(self, place: Place) -> Stage:
        """Return what the code at ``place`` does."""
        module, cls = place.module, place.function.cls
        is_inference_function = any(is_inference_name(scope.name) for scope in place.function.scopes())
        if self.infers_by_path(module) or is_without_gradients(place) or is_inference_function:
            return Stage.INFERS
        if cls is not None:
            if self.class_trains(cls) or _runs_backward(place.function):
                return Stage.TRAINS
            # The training code beside a torch module without a loss does not tell whether that module is trained.
            is_training_class = self.module_trains(module) and not is_torch_module(self._code, cls)
            return Stage.TRAINS if is_training_class else Stage.UNKNOWN
        if self.module_trains(module) or self._takes_loss(place.function):
            return Stage.TRAINS
        return Stage.INFERS if _runs_inference(module) else Stage.UNKNOWN

    def infers_by_path(self, module: Module) -> bool:
        """Return whether the path of a module says that it evaluates, and its code does not train all the same."""
        answer = self._infers.get(module)
        if answer is None:
            answer = self._infers[module] = _infers_by_path(module)
        return answer

    def class_trains(self, cls: Class) -> bool:
        """Return whether a class, or a base or subclass of it, has a training step, or a ``forward`` with a loss."""
        answer = self._trains.get(cls)
        if answer is None:
            methods = [method for related in self._code.related_classes(cls) for method in related.methods.values()]
            answer = any(
                method.name == "training_step" or _computes_loss(method)
                for method in methods
                if _TRAINING_METHODS.match(method.name)
            )
            self._trains[cls] = answer
        return answer

    def _takes_loss(self, function: Function) -> bool:
        """Return whether a function itself calls a loss function of torch, as a part of a training step does."""
        answer = self._takes_losses.get(function)
        if answer is None:
            calls = function.module.calls_in(function) if function.name else ()
            answer = self._takes_losses[function] = any(_is_torch_loss(call) for call in calls)
        return answer

    def module_trains(self, module: Module) -> bool:
        """Return whether a module makes an optimizer, a trainer or an adapter, or runs a backward pass."""
        answer = self._trains.get(module)
        if answer is None:
            answer = any(_is_training_call(call) for call in module.calls)
            self._trains[module] = answer
        return answer


def _infers_by_path(module: Module) -> bool:
    if not is_inference_path(module.name):
        return False
    found = words(module.name.removesuffix(".py")) & _INFERENCE_PATH_WORDS
    if _is_trial(module, found):
        return False
    return not (found <= _WEAK_PATH_WORDS and any(call.name == "backward" for call in module.calls))


def _is_trial(module: Module, found: set[str]) -> bool:
    """Return whether a file trains although its own name has the word "test": a trial, and no test of the code."""
    folder = module.name.rpartition("/")[0]
    if found != {"test"} or words(folder) & _INFERENCE_PATH_WORDS or _OF_TESTS.search(module.source.text):
        return False
    return any(call.name == "train" and "trainer" in ast.unparse(call.receiver).lower() for call in module.calls)


def is_torch_module(code: CodeFacts, cls: Class) -> bool:
    """Return whether a class is a torch module, by its base classes or its ``forward``."""
    return "forward" in cls.methods or any(
        base.endswith(("Module", "PreTrainedModel")) for base in code.base_names(cls)
    )


def _computes_loss(function: Function) -> bool:
    """Return whether a function handles a loss or labels, by the names in it."""
    for node in ast.walk(function.node):
        match node:
            case ast.Name(id=name) if "loss" in name.lower() or name == "labels":
                return True
            case ast.Attribute(attr="cross_entropy") | ast.keyword(arg="labels"):
                return True
            case ast.Subscript(slice=ast.Constant(value=str(name))) if "loss" in name.lower():
                # `return batch["loss"]`: a part of the class has written it there.
                return True
            case ast.keyword(arg=str(name)) | ast.arg(arg=name) if "loss" in name.lower():
                return True
    return False


def _is_torch_loss(call: Call) -> bool:
    dotted = call.place.module.dotted(call.node.func)
    return dotted.startswith("torch.nn.functional.") and call.name.endswith(("_loss", "cross_entropy"))


def _is_training_call(call: Call) -> bool:
    return (
        call.name in ("backward", "loss_scaler")
        or call.name in TRAINING_OPTIMIZERS
        or _TRAINER_CALLS.match(call.name) is not None
    )


def _runs_backward(function: Function) -> bool:
    """Return whether a method itself runs a backward pass: that of a model that trains itself."""
    is_own_gradient = function.name == "backward"
    return not is_own_gradient and any(call.name == "backward" for call in function.module.calls_in(function))


def _runs_inference(module: Module) -> bool:
    return any(call.name in ("eval", "generate") and isinstance(call.node.func, ast.Attribute) for call in module.calls)
