"""Finds the models that code names: the weights that it loads or that a launch passes to it, and its model classes."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, is_inference_path
from vc2doctor.linter.read.formats.json import parse_json
from vc2doctor.linter.read.formats.yaml import parse_yaml
from vc2doctor.linter.read.module import Call, Module, last_name, module_of
from vc2doctor.linter.read.source import UnreadableError, decode, read_source

MAX_PARSED = 200
"""Files without a word about precision that are parsed for the model that they name."""
MAX_NAME = 300
"""Characters of a name; a longer text is a prompt."""

_LAUNCH, _LOAD, _CONFIG, _DEFAULT, _TOKENIZER, _INFERENCE = range(6)
"""Ranks: a launch decides what a program loads, and a default counts only if nothing else is named."""

_KEY = re.compile(
    r"(^|[._-])((pretrained_)?model(_?(name|path|id|dir))*(_or_path)?|base_?model(_(name|path|id))*(_or_path)?"
    r"|(pretrained|language|lang|text)_?(model|lm)(_(name|path))?|llm?(_(name|path|model))*"
    r"|\w*(llama|mistral|vicuna|qwen|gemma|phi|falcon|opt)\w*_(path|model|dir))$",
    re.IGNORECASE,
)
"""Keys, flags and parameters whose values name a model."""
_PART_OF_MODEL = re.compile(
    r"Processor|Extractor|VisionModel|VisionTower|CLIP|SigLIP|Siglip|Peft|Lora|Scheduler|GenerationConfig|VAE|UNet|AutoencoderKL"
)
"""Classes whose weights are a part of what is trained, or none."""
_WEIGHTS_ARGUMENTS = ("pretrained_model_name_or_path", "model_name_or_path", "model_name", "model_id", "model_path")
_MENTIONS_MODEL = re.compile(rb"from_pretrained|add_argument|model|llm|^class ", re.IGNORECASE | re.MULTILINE)
_CLASS_NAME = re.compile(r"[A-Z]\w*[a-z]\w*")


class NamedModel(NamedTuple):
    """A model that code names."""

    name: str
    """A name on the Hub, a path, or a class."""
    is_class: bool
    place: str
    """``path:line``, relative to the root of the project."""
    is_defined: bool = False
    """Whether the project defines the class."""


class _Ranked(NamedTuple):
    rank: int
    model: NamedModel


def named_models(facts: Facts) -> tuple[NamedModel, ...]:
    """Return the models that a project names, those that most likely decide first."""
    ranked: list[_Ranked] = [*_launched(facts), *_configured(facts)]
    for module in (*facts.code.files.modules.values(), *_other_modules(facts)):
        ranked.extend(_in_module(facts, module))
    defined = {each.model.name for each in ranked if each.model.is_defined}
    models = [each.model for each in sorted(ranked, key=lambda each: each.rank)]
    return tuple(dict.fromkeys(model._replace(is_defined=model.name in defined) for model in models))


def _other_modules(facts: Facts) -> Iterator[Module]:
    """Yield the modules that do not mention precision but may name a model."""
    names = [
        name
        for name, data in facts.code.files.texts.items()
        if name.endswith((".py", ".ipynb")) and _MENTIONS_MODEL.search(data)
    ]
    yield from filter(None, (_parsed(name, facts.code.files.texts[name]) for name in names[:MAX_PARSED]))


def _parsed(name: str, data: bytes) -> Module | None:
    try:
        return module_of(read_source(name, data))
    except (UnreadableError, RecursionError):
        # Nothing that matters for precision is in the file, so it is not reported as unread.
        return None


def _launched(facts: Facts) -> Iterator[_Ranked]:
    for launch in facts.code.files.launches:
        for name, flag in launch.flags.items():
            if flag.value is not None and _KEY.search(name.lstrip("-")):
                yield from _named(_LAUNCH, flag.value, f"{launch.script}:{flag.line}")


def _configured(facts: Facts) -> Iterator[_Ranked]:
    files = facts.code.files
    read = [*files.configs]
    for name, data in list(files.texts.items())[:MAX_PARSED]:
        if name.lower().endswith((".yaml", ".yml", ".json")) and _MENTIONS_MODEL.search(data):
            parsed = (parse_json if name.endswith(".json") else parse_yaml)(name, decode(data))
            read.extend([parsed] if parsed is not None else [])
    for config in read:
        for entry in config.entries:
            if not isinstance(entry.value, str):
                continue
            place = f"{config.name}:{entry.line}"
            if _KEY.search(entry.key):
                yield from _named(_CONFIG, entry.value, place)
            if _CLASS_NAME.fullmatch(entry.value):
                yield _Ranked(_CONFIG, NamedModel(entry.value, is_class=True, place=place))


def _in_module(facts: Facts, module: Module) -> Iterator[_Ranked]:
    for cls in module.classes.values():
        place = f"{module.name}:{cls.node.lineno}"
        yield _Ranked(_LOAD, NamedModel(cls.name, is_class=True, place=place, is_defined=True))
        for base in filter(_CLASS_NAME.fullmatch, map(last_name, cls.node.bases)):
            yield _Ranked(_LOAD, NamedModel(base, is_class=True, place=place))
        for key, values in cls.attributes.items():
            for value, _ in values:
                yield from _default(key, value, module)
    for key, values in module.level.names.items():
        for value, _ in values:
            yield from _default(key, value, module)
    for call in module.calls:
        yield from _in_call(facts, module, call)


def _in_call(facts: Facts, module: Module, call: Call) -> Iterator[_Ranked]:
    place = f"{module.name}:{call.node.lineno}"
    owner = last_name(call.node.func.value) if isinstance(call.node.func, ast.Attribute) else ""
    for name in (call.name, owner):
        if _CLASS_NAME.fullmatch(name):
            yield _Ranked(_LOAD, NamedModel(name, is_class=True, place=place))
    argument: ast.expr | None = None
    rank = _LOAD
    if call.name in ("from_pretrained", "load_pretrained_model") and not _PART_OF_MODEL.search(owner):
        argument = next(filter(None, (call.argument(name, 0) for name in _WEIGHTS_ARGUMENTS)), None)
        rank = _TOKENIZER if "Tokeniz" in owner else _LOAD
    elif call.name.endswith("Trainer"):
        argument = call.argument("model", 0)
    elif call.name == "add_argument" and call.node.args:
        option = call.node.args[0]
        if isinstance(option, ast.Constant) and _KEY.search(str(option.value).lstrip("-").replace("-", "_")):
            argument, rank = call.argument("default"), _DEFAULT
    if argument is None:
        return
    if _infers(facts, module, call):
        rank = _INFERENCE
    for value in _strings(facts, module, call, argument):
        yield from _named(rank, value, place)


def _infers(facts: Facts, module: Module, call: Call) -> bool:
    if module.name not in facts.code.files.modules:
        return is_inference_path(module.name)
    return facts.stages.of(call.place) is Stage.INFERS


def _strings(facts: Facts, module: Module, call: Call, argument: ast.expr) -> list[str]:
    if module.name not in facts.code.files.modules:
        # Names across files are resolved in modules that were read only.
        return [argument.value] if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else []
    return sorted(value for value in facts.values.of(argument, call.place) if isinstance(value, str))


def _default(key: str, value: ast.expr, module: Module) -> Iterator[_Ranked]:
    """Yield the model that a constant, or the default of a data class's field, names."""
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), value)
    if _KEY.search(key) and isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield from _named(_DEFAULT, value.value, f"{module.name}:{value.lineno}")


def _named(rank: int, name: str, place: str) -> Iterator[_Ranked]:
    if name.strip() and len(name) <= MAX_NAME and "\n" not in name:
        yield _Ranked(rank, NamedModel(name.strip(), is_class=False, place=place))
