"""In which releases of transformers, peft, trl, accelerate and bitsandbytes a name or a keyword exists.

The table is ``matrices/api.json.gz``: read in the released wheels, by ``nox -s wheels``.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache, reduce
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.version import InvalidVersion, Version

from vc2doctor.matrix import load
from vc2doctor.matrix.api_file import API_FILE, FROM, HERE, INHERITS, OPEN, Api, PackageApi, Spans, read, to_bits


class Existence(NamedTuple):
    """In which releases of a package something exists."""

    package: str
    bits: int
    """One bit for each release of the table, the oldest first."""
    absent: int = 0
    """The releases among them in which the class or function itself does not exist: that is another finding."""

    @property
    def takes(self) -> int:
        """The releases that really have it; all of ``bits`` if none is known to."""
        return self.bits & ~self.absent or self.bits


class PackageTable:
    """The names of one package."""

    def __init__(self, name: str, api: PackageApi) -> None:
        self.name = name
        self.releases = api.releases
        self.moved: Mapping[str, str] = api.moved
        self.renamed: Mapping[str, str] = api.renamed
        self._api = api
        self._decoded: dict[tuple[str, str], Mapping[str, int]] = {}

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The positions of the releases."""
        return {text: position for position, text in enumerate(self.releases)}

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """The releases as versions, the oldest first."""
        return tuple(map(Version, self.releases))

    @property
    def everything(self) -> int:
        """The bits of all releases."""
        return (1 << len(self.releases)) - 1

    def entries(self, kind: str, owner: str) -> Mapping[str, int] | None:
        """Return the entries of an owner in ``modules``, ``callables`` or ``members``; ``None``: it is not listed."""
        table: Mapping[str, Spans] = getattr(self._api, kind)
        if owner not in table:
            return None
        key = kind, owner
        if key not in self._decoded:
            self._decoded[key] = dict(self._decode(table[owner]))
        return self._decoded[key]

    def _decode(self, spans: Spans) -> Iterator[tuple[str, int]]:
        for span, names in spans.items():
            if span in (HERE, OPEN) or span.startswith(INHERITS):
                yield span, to_bits(names, self.places)
            else:
                bits = to_bits(span, self.places)
                for name in names.split():
                    yield name, bits

    def importable(self, module: str, name: str = "") -> int | None:
        """Return the releases in which ``from module import name`` works; ``None``: unknown. No name: the module.

        A name that is not listed is as old as its module, or never was in it, so only the module counts.
        """
        entries = self.entries("modules", module)
        if entries is None:
            return None
        submodule = self.entries("modules", f"{module}.{name}") if name else None
        bits = entries.get(name, entries[HERE]) if name else entries[HERE]
        if submodule is not None:
            bits = (bits if name in entries else 0) | submodule[HERE]
        return bits

    def callable_key(self, dotted: str) -> str | None:
        """Return the key of a class or function in the tables; ``None``: it is not listed.

        A package passes on what the modules below it define; such a name counts if only one of them defines it.
        """
        module, _, name = dotted.rpartition(".")
        for key in (f"{module}:{name}", name):
            if key in self._api.callables or key in self._api.members or key in self._api.bases:
                return key
        below = [key for key in self._keys_by_name.get(name, ()) if key.startswith(f"{module}.")]
        return below[0] if len(below) == 1 and "." in module else None

    @cached_property
    def _keys_by_name(self) -> Mapping[str, list[str]]:
        keys: dict[str, list[str]] = defaultdict(list)
        for key in dict.fromkeys((*self._api.callables, *self._api.members)):
            keys[key.rpartition(":")[2]].append(key)
        return keys

    def texts(self, kind: Literal["shapes", "bases"], key: str) -> tuple[tuple[int, str], ...]:
        """Return the texts of a key in ``shapes`` or ``bases`` with their releases as bits; empty: it is not listed."""
        spans: Mapping[str, str] = getattr(self._api, kind).get(key, {})
        return tuple((to_bits(span, self.places), text) for span, text in spans.items())

    def has_method(self, key: str, method: str) -> int:
        """Return the releases in which the class with this key defines a method itself."""
        return reduce(lambda bits, entry: bits | entry[0], self.texts("shapes", f"{key}.{method}"), 0)

    def callers(self, method: str) -> frozenset[str]:
        """Return the methods that call a method of this name on their own object, in any class of the package."""
        return self._callers.get(method, frozenset())

    @cached_property
    def _callers(self) -> Mapping[str, frozenset[str]]:
        callers: dict[str, set[str]] = defaultdict(set)
        for key, spans in self._api.passes.items():
            items = (item for span, names in spans.items() if span != HERE for item in names.split())
            callers[key.rpartition(".")[2]].update(item.partition(FROM)[2] for item in items)
        return {name: frozenset(found) for name, found in callers.items()}

    @property
    def class_names(self) -> frozenset[str]:
        """The keys of the classes and functions whose keywords are known."""
        return frozenset(self._api.callables)

    @cached_property
    def method_names(self) -> frozenset[str]:
        """The names of all methods whose parameters are known: calls of others need not be looked up."""
        return frozenset(key.rpartition(".")[2] for key in self._api.shapes if "." in key.rpartition(":")[2])

    @cached_property
    def changed_members(self) -> frozenset[str]:
        """The attributes that some release of some class lacks: others need not be looked up."""
        return frozenset(
            name
            for spans in self._api.members.values()
            for span, names in spans.items()
            if span != HERE
            for name in names.split()
        )

    def position(self, text: str) -> int | None:
        """Return the position of the newest known release that is not newer than a version; ``None``: none is."""
        try:
            version = Version(text)
        except InvalidVersion:
            return None
        older = [position for position, release in enumerate(self.versions) if release <= version]
        return older[-1] if older else None


class ApiTable:
    """The names of all packages of the table."""

    def __init__(self, api: Api) -> None:
        self.date = api.date
        self.packages = {name: PackageTable(name, package) for name, package in api.packages.items()}

    def importable(self, module: str, name: str = "") -> Existence | None:
        """Return where ``from module import name`` works; ``None``: unknown."""
        package = self.packages.get(module.partition(".")[0])
        bits = package.importable(module, name) if package else None
        return None if package is None or bits is None else Existence(package.name, bits)

    def keyword(self, dotted: str, keyword: str) -> Existence | None:
        """Return where a class or function takes a keyword; ``None``: unknown, or no release takes it.

        A release in which it does not exist, or takes every keyword, counts as one that takes the keyword: that it does
        not exist is another finding.
        """
        package = self.packages.get(dotted.partition(".")[0])
        key = package.callable_key(dotted) if package else None
        entries = package.entries("callables", key) if package and key else None
        if package is None or entries is None:
            return None
        inherited = self._inherited(entries, keyword)
        if keyword not in entries:
            return inherited[0] if len(inherited) == 1 else None
        absent = package.everything & ~entries[HERE]
        bits = entries[keyword] | entries.get(OPEN, 0) | absent
        for name, place in entries.items():
            if name.startswith(INHERITS) and self.keyword(name[len(INHERITS) :], keyword) is not None:
                bits |= place
        return Existence(package.name, bits, absent)

    def _inherited(self, entries: Mapping[str, int], keyword: str) -> list[Existence]:
        bases = [name[len(INHERITS) :] for name in entries if name.startswith(INHERITS)]
        return [found for base in bases if (found := self.keyword(base, keyword)) is not None]

    def member(self, dotted: str, attribute: str) -> Existence | None:
        """Return where objects of a class have an attribute; ``None``: unknown, or always."""
        package = self.packages.get(dotted.partition(".")[0])
        key = package.callable_key(dotted) if package else None
        entries = package.entries("members", key) if package and key else None
        if package is None or entries is None or attribute not in entries:
            return None
        return Existence(package.name, entries[attribute] | (package.everything & ~entries[HERE]))

    def new_name(self, dotted: str, keyword: str) -> str | None:
        """Return the new name of a keyword; ``None``: it has none that is known."""
        package = self.packages.get(dotted.partition(".")[0])
        key = package.callable_key(dotted) if package else None
        return RENAMED.get((dotted.rpartition(".")[2], keyword)) or (
            package.renamed.get(f"{key}:{keyword}") if package else None
        )

    def in_configuration(self, dotted: str, keyword: str) -> str:
        """Return how the configuration of a trainer takes a keyword that the trainer lost; empty: it does not.

        trl moved the arguments of its trainers to classes beside them: those of ``DPOTrainer`` to ``DPOConfig``.
        """
        package = self.packages.get(dotted.partition(".")[0])
        trainer = self.keyword(dotted, keyword)
        if package is None or trainer is None or not dotted.endswith("Trainer"):
            return ""
        module, _, name = dotted.removesuffix("Trainer").rpartition(".")
        configuration = self.keyword(f"{module}.{name}Config", keyword)
        # A later release may have renamed it there, too.
        lost = package.everything >> trainer.takes.bit_length() << trainer.takes.bit_length()
        keeps = configuration is not None and not lost & ~configuration.takes
        return f"args={name}Config({keyword}=...)" if keeps else ""

    def replacement(self, module: str, name: str) -> str:
        """Return what the newest release has in place of a name that is gone; empty: nothing is known."""
        package = self.packages.get(module.partition(".")[0])
        home = package.moved.get(f"{module}:{name}") if package else None
        return f"from {home} import {name}" if home else NEW_NAMES.get(f"{module}.{name}", "")


NEW_NAMES = {
    "peft.prepare_model_for_int8_training": "prepare_model_for_kbit_training",
    "peft.utils.prepare_model_for_int8_training": "prepare_model_for_kbit_training",
}
"""What took the place of names that have another name now, by the full old name."""

RENAMED = {
    ("TrainingArguments", "evaluation_strategy"): "eval_strategy",
    ("Seq2SeqTrainingArguments", "evaluation_strategy"): "eval_strategy",
    # transformers 5 reads a number below 1 as the ratio.
    ("TrainingArguments", "warmup_ratio"): "warmup_steps",
    ("Seq2SeqTrainingArguments", "warmup_ratio"): "warmup_steps",
    ("Trainer", "tokenizer"): "processing_class",
    ("Seq2SeqTrainer", "tokenizer"): "processing_class",
    ("SFTConfig", "max_seq_length"): "max_length",
    ("Accelerator", "logging_dir"): "project_dir",
}
"""New names of keywords that no decorator translates: class and old name → new name. The test of the table asserts that
the new name exists in the release in which the old one goes."""

DROPPED = frozenset({"overwrite_output_dir", "save_safetensors"})
"""Arguments of the trainer that nothing replaces: transformers 5 empties no folder, and always writes safetensors.

https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md
"""


@lru_cache(maxsize=2)
def load_table(folder: Path | None = None) -> ApiTable | None:
    """Return the table in ``folder`` (default: the matrix of the doctor); ``None``: there is none.

    Raises:
        MatrixError: the file is not a table.
    """
    api = read((folder or load.shipped()) / API_FILE)
    return None if api is None else ApiTable(api)
