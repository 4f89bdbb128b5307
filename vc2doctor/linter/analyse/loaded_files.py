"""Finds the files and folders that training code loads by name: models, adapters, tokenizers, data, checkpoints.

Only names that are written out count: in a call, in a variable, as a default, or in a command. Whether such a name is
a local path or a name on the Hub is not known here.
"""

import ast
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from vc2doctor.linter.analyse.api_names import code_mentioning
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import Stage, Stages, is_inference_path
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read.module import Call, Module, last_name

Kind = Literal["model", "tokenizer", "adapter", "checkpoint", "data", "data-folder"]

_WORDS = (b"from_pretrained", b"load_adapter", b"load_dataset", b"from_disk", b"from_parquet", b"from_checkpoint")
_RESUME = "resume_from_checkpoint"
_ADAPTER_FLAG = re.compile(r"(^|_)(adapter|lora|peft)(_(name|model|weights?))?(_or)?_(path|dir)$")
_MODEL_FLAG = re.compile(r"^(pretrained_)?(base_)?model(_(name|id))?(_or)?_(path|dir)$|^model_name$|^base_model$")
_PARQUET = ".parquet"
_TOKENIZERS = ("Tokenizer", "Processor")
_ADAPTERS = ("Peft", "AutoPeft")
MAX_PATH = 300
"""Characters of a path; a longer text is something else."""


class LoadedFile(NamedTuple):
    """Something that the code loads by a name that may be a path."""

    kind: Kind
    loader: str
    """The class that loads it, such as ``AutoTokenizer``; empty: it is not known."""
    name: str
    """As it is written."""
    path: str
    """The file of the code, relative to the root of the project."""
    line: int


def loaded_files(facts: Facts) -> tuple[LoadedFile, ...]:
    """Return what the training programs load, in the order of the files; each name of a kind once."""
    code = code_mentioning(facts, _WORDS)
    values, stages = Values(code), Stages(code)
    found = [*_of_launches(code), *_of_configs(code)]
    for module in code.files.modules.values():
        for call in module.calls:
            if call.name in _READERS and stages.of(call.place) is not Stage.INFERS:
                found.extend(_READERS[call.name](values, call))
            found.extend(_resumed(values, call))
    if any(each.kind == "model" and not each.loader for each in found) and _loads_tokenizer(code):
        # A command names one folder, and the program loads model and tokenizer from it.
        found += [each._replace(kind="tokenizer") for each in found if each.kind == "model" and not each.loader]
    unique = {(each.kind, each.name): each for each in reversed(found) if 0 < len(each.name) <= MAX_PATH}
    return tuple(reversed(unique.values()))


def _loads_tokenizer(code: CodeFacts) -> bool:
    calls = (call for module in code.files.modules.values() for call in module.calls)
    return any(call.name == "from_pretrained" and _owner(call).endswith(_TOKENIZERS) for call in calls)


def _owner(call: Call) -> str:
    return last_name(call.node.func.value) if isinstance(call.node.func, ast.Attribute) else ""


def _texts(values: Values, call: Call, argument: ast.expr | None) -> Iterator[str]:
    """Yield the texts that an argument can be; a list or a table yields those of its elements."""
    match argument:
        case None:
            return
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            for element in elements:
                yield from _texts(values, call, element)
        case ast.Dict(values=elements):
            for element in elements:
                yield from _texts(values, call, element)
        case _:
            yield from sorted(value for value in values.of(argument, call.place) if isinstance(value, str))


def _files(values: Values, call: Call, kind: Kind, loader: str, *arguments: ast.expr | None) -> Iterator[LoadedFile]:
    for argument in arguments:
        for text in _texts(values, call, argument):
            yield LoadedFile(kind, loader, text, call.place.module.name, call.node.lineno)


def _pretrained(values: Values, call: Call) -> Iterator[LoadedFile]:
    owner = _owner(call)
    if owner.startswith(_ADAPTERS):
        # PeftModel.from_pretrained(model, path): a class of models takes the model first.
        takes_model = not owner.startswith("Auto") and "Config" not in owner
        named = call.argument("model_id", 1) if takes_model else call.argument("pretrained_model_name_or_path", 0)
        yield from _files(values, call, "adapter", owner, named)
        return
    path = call.argument("pretrained_model_name_or_path", 0)
    if any(word in owner for word in _TOKENIZERS):
        fast = call.argument("use_fast")
        if not (isinstance(fast, ast.Constant) and fast.value is False):
            yield from _files(values, call, "tokenizer", owner, path)
        return
    yield from _files(values, call, "model", owner, path)


def _adapter(values: Values, call: Call) -> Iterator[LoadedFile]:
    # peft calls it model_id, transformers peft_model_id.
    names = (call.argument("model_id", 0), call.argument("peft_model_id"))
    yield from _files(values, call, "adapter", "", *names)


def _dataset(values: Values, call: Call) -> Iterator[LoadedFile]:
    yield from _files(values, call, "data", "", call.argument("data_files", 2), call.argument("data_dir"))
    yield from _files(values, call, "data", "", call.argument("path", 0))


def _parquet(values: Values, call: Call) -> Iterator[LoadedFile]:
    yield from _files(values, call, "data", "", call.argument("path_or_paths", 0))


def _disk(values: Values, call: Call) -> Iterator[LoadedFile]:
    yield from _files(values, call, "data-folder", "", call.argument("dataset_path", 0))


_READERS = {
    "from_pretrained": _pretrained,
    "load_adapter": _adapter,
    "load_dataset": _dataset,
    "from_parquet": _parquet,
    "load_from_disk": _disk,
}


def _resumed(values: Values, call: Call) -> Iterator[LoadedFile]:
    """Yield the checkpoint that a trainer goes on from, given to ``train`` or to its arguments."""
    argument = call.argument(_RESUME, 0 if call.name == "train" else None)
    if argument is None:
        return
    yield from _files(values, call, "checkpoint", "", argument)
    # model.train(True) is another method.
    named = call.argument(_RESUME)
    if isinstance(named, ast.Constant) and named.value is True:
        for folder in _output_folders(values, call.place.module):
            yield LoadedFile("checkpoint", "newest", folder, call.place.module.name, call.node.lineno)


def _output_folders(values: Values, module: Module) -> Iterator[str]:
    for call in module.calls:
        if call.name.endswith(("Arguments", "Config")):
            yield from _texts(values, call, call.argument("output_dir", 0 if "Arguments" in call.name else None))


def _of_launches(code: CodeFacts) -> Iterator[LoadedFile]:
    for launch in code.files.launches:
        if not is_inference_path(launch.script) and not is_inference_path(launch.program.rpartition("/")[2]):
            for flag, setting in launch.flags.items():
                kind = _kind_of_key(flag.lstrip("-").replace("-", "_"), setting.value)
                if kind is not None and setting.value is not None:
                    yield LoadedFile(kind, "", setting.value, launch.script, setting.line)


def _of_configs(code: CodeFacts) -> Iterator[LoadedFile]:
    for config in code.files.configs:
        for entry in config.entries:
            kind = _kind_of_key(entry.key.rpartition(".")[2], entry.value)
            if kind is not None and not is_inference_path(config.name):
                yield LoadedFile(kind, "", str(entry.value), config.name, entry.line)


def _kind_of_key(key: str, value: object) -> Kind | None:
    """Return what a flag or a key of a configuration names; ``None``: nothing that is loaded."""
    if not isinstance(value, str):
        return None
    if key == _RESUME:
        return "checkpoint"
    if _ADAPTER_FLAG.search(key):
        return "adapter"
    if _MODEL_FLAG.search(key):
        return "model"
    return "data" if value.endswith(_PARQUET) else None
