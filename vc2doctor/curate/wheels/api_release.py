"""Read one wheel for the table of public names: what each module exports, and what each class and function takes.

No code of the wheel runs.
"""

import builtins
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vc2doctor.curate.wheels.api_facts import NO_FACTS, ClassFacts, ModuleFacts, read_module
from vc2doctor.curate.wheels.api_signatures import Signature
from vc2doctor.curate.wheels.contents import parse

MAX_HOPS = 12
"""Imports and base classes that are followed for one name."""
FOREIGN = ("transformers", "peft", "trl", "accelerate", "bitsandbytes")
"""Import packages whose classes another one of them may inherit from."""
NEUTRAL_BASES = frozenset({"object", "abc.ABC", "typing.Generic", "?PushToHubMixin"})
"""Base classes that take no keywords."""
_SKIPPED = re.compile(r"/(tests?|modeling_(tf|flax)_\w+|convert_\w+|dummy_\w+)(/|\.py$)|/(tests?|deprecated)/")
"""Files that hardly any training code imports from. What is not read is unknown, and never a finding."""

_READ_MODELS = """
albert auto bart bert big_bird blip blip_2 bloom camembert chameleon clip codegen cohere deberta
deberta_v2 deepseek_v2 deepseek_v3 dinov2 distilbert electra encoder_decoder falcon gemma gemma2
gemma3 gpt2 gpt_bigcode gpt_neo gpt_neox gpt_oss gptj granite hubert idefics idefics2 idefics3
instructblip layoutlmv3 led llama llava llava_next llava_onevision longformer longt5 mamba marian
mbart mistral mistral3 mixtral mllama mpt mt5 olmo olmo2 opt paligemma pegasus persimmon phi phi3
qwen2 qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_moe qwen3_vl roberta sam siglip smollm3
smolvlm speech_encoder_decoder stablelm starcoder2 switch_transformers t5 umt5
vision_encoder_decoder vision_text_dual_encoder vit wav2vec2 whisper xlm_roberta
"""
READ_MODELS = frozenset(_READ_MODELS.split())
"""Models of transformers whose modules are read: training code patches and subclasses these. Of the others (two thirds
of all code) only the modules and what they export are known, so the names inside of them are never a finding."""
_EXPORTS = re.compile(rb"^__all__\s*=\s*[\[(](.*?)[\])]", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"[\"'](\w+)[\"']")

Cache = dict[tuple[str, int, int], ModuleFacts | None]
"""What was read from files, by module, checksum and size: most files do not change between two releases."""


class Effective(NamedTuple):
    """What a callable takes, with what it inherits."""

    signature: Signature
    foreign: tuple[str, ...] = ()
    """Full names of classes of other packages whose keywords it takes as well."""


OPEN = Effective(Signature(frozenset(), is_open=True))
"""A callable whose keywords are unknown."""


class Members(NamedTuple):
    """The attributes of the objects of a class."""

    defined: frozenset[str]
    named: frozenset[str]
    """Attributes of ``self`` that its methods name; some of them are defined by what inherits from it."""


class ReleaseFacts:
    """The modules of one wheel."""

    def __init__(self, path: Path, package: str, cache: Cache) -> None:
        """Read the wheel at ``path`` with the import package ``package``; releases of a package share ``cache``."""
        self.package = package
        self.modules: dict[str, ModuleFacts] = {}
        with zipfile.ZipFile(path) as wheel:
            for entry in wheel.infolist():
                if entry.filename.startswith(f"{package}/") and entry.filename.endswith(".py"):
                    self._read(wheel, entry, cache)

    def _read(self, wheel: zipfile.ZipFile, entry: zipfile.ZipInfo, cache: Cache) -> None:
        if _SKIPPED.search(entry.filename):
            return
        is_package = entry.filename.endswith("/__init__.py")
        stem = entry.filename.removesuffix("/__init__.py" if is_package else ".py")
        module = stem.replace("/", ".")
        key = module, entry.CRC, entry.file_size
        if key not in cache:
            source = wheel.read(entry)
            if is_model_code(module) and not is_package and module.split(".")[2] not in READ_MODELS:
                cache[key] = _exports_only(source)
            else:
                tree = parse(source)
                cache[key] = None if tree is None else read_module(tree, source, module, is_package=is_package)
        facts = cache[key]
        if facts is not None:
            self.modules[module] = facts

    def exported(self, module: str) -> frozenset[str]:
        """Return the names for which ``from module import name`` succeeds; submodules are left out."""
        facts = self.modules[module]
        names = self._bound(module, frozenset())
        if facts.lazy_names:
            # A lazy package may look its names up in the __all__ of the modules below it.
            below = f"{module}."
            lists = (other.exports for name, other in self.modules.items() if name.startswith(below) and other.exports)
            names = names.union(facts.lazy_names, *lists)
        return frozenset(filter(str.isidentifier, names))

    def _bound(self, module: str, seen: frozenset[str]) -> frozenset[str]:
        facts = self.modules.get(module)
        if facts is None or module in seen:
            return frozenset()
        names = facts.names
        for star in facts.stars:
            inner = self.modules.get(star)
            bound = self._bound(star, seen | {module})
            names |= bound if inner is None or inner.exports is None else inner.exports
        return names

    def locate(self, module: str, name: str, hops: int = 0) -> tuple[str, str] | None:
        """Return the module and the name under which a class or a function is defined; ``None``: unknown."""
        facts = self.modules.get(module)
        if facts is None or hops > MAX_HOPS:
            return None
        if name in facts.classes or name in facts.functions:
            return module, name
        if name in facts.imports:
            origin = facts.imports[name]
            return self.locate(origin.module, origin.name, hops + 1) if origin.name else None
        for star in facts.stars:
            if found := self.locate(star, name, hops + 1):
                return found
        return None

    def effective(self, module: str, name: str, hops: int = 0) -> Effective:
        """Return what the class or function that is defined as ``name`` in ``module`` takes."""
        facts = self.modules.get(module)
        if facts is None or hops > MAX_HOPS:
            return OPEN
        if name in facts.functions:
            return Effective(facts.functions[name])
        cls = facts.classes.get(name)
        if cls is None or cls.is_open:
            return OPEN
        if cls.init is not None:
            return Effective(cls.init)
        return self._inherited(module, cls, hops)

    def _inherited(self, module: str, cls: ClassFacts, hops: int) -> Effective:
        """Return what a class without ``__init__`` takes: the fields of data classes, and what its bases take."""
        keywords = cls.fields or frozenset()
        result = Effective(Signature(keywords))
        for base in cls.bases:
            inherited = self.of_base(module, base, hops)
            result = Effective(result.signature.joined(inherited.signature), result.foreign + inherited.foreign)
        return result

    def of_base(self, module: str, base: str, hops: int) -> Effective:
        """Return what a base class with this full name, as ``module`` knows it, takes."""
        owner, _, name = base.rpartition(".")
        found = self.locate(owner or module, name)
        if found is not None:
            return self.effective(*found, hops + 1)
        if base in NEUTRAL_BASES or name.endswith("PushToHubMixin"):
            return Effective(Signature(frozenset()))
        if base.partition(".")[0] in FOREIGN and base.partition(".")[0] != self.package:
            return Effective(Signature(frozenset()), (f"{base.partition('.')[0]}.{name}",))
        return OPEN

    def members(self, module: str, name: str, hops: int = 0) -> Members | None:
        """Return the attributes of a class, with those that it inherits; ``None``: unknown."""
        cls = self.modules[module].classes.get(name) if module in self.modules else None
        if cls is None or hops > MAX_HOPS or "__getattr__" in cls.methods:
            return None
        defined, named = cls.members, cls.reads
        for base in cls.bases:
            owner, _, base_name = base.rpartition(".")
            found = self.locate(owner or module, base_name)
            inherited = self.members(*found, hops + 1) if found else None
            if inherited is not None:
                defined, named = defined | inherited.defined, named | inherited.named
            elif found or not ("." in base or hasattr(builtins, base)):
                return None
        return Members(defined, named)

    def top_level_classes(self) -> Mapping[str, tuple[str, str]]:
        """Return where the callables that the package itself exports are defined, by their names."""
        defined: dict[str, tuple[str, str]] = {}
        exported = self.exported(self.package)
        for module, facts in self.modules.items():
            for name in (*facts.classes, *facts.functions):
                # Of two modules that define the name, the shorter one is the public one.
                if name in exported and (name not in defined or len(module) < len(defined[name][0])):
                    defined[name] = module, name
        return {name: self.locate(self.package, name) or place for name, place in defined.items()}

    def callables(self) -> Iterator[tuple[str, str, str]]:
        """Yield the key, the module and the name of each class and function, except those of single models.

        The key of what the package itself exports is its name; of others it is ``module:name``.
        """
        top = self.top_level_classes()
        places = set(top.values())
        for key, (module, name) in top.items():
            yield key, module, name
        for module, facts in self.modules.items():
            for name in (*facts.classes, *facts.functions):
                if (module, name) not in places:
                    yield f"{module}:{name}", module, name


def _exports_only(source: bytes) -> ModuleFacts:
    lists = (match.decode("utf-8", "replace") for match in _EXPORTS.findall(source))
    return NO_FACTS._replace(exports=frozenset(name for text in lists for name in _QUOTED.findall(text)))


def is_model_code(module: str) -> bool:
    """Return whether a module belongs to one model of transformers."""
    return module.startswith("transformers.models.") and module.count(".") > len(("transformers", "models"))
