"""The methods of the classes of a release: what they take, what they inherit, and what their class passes to them."""

import builtins
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from vc2doctor.curate.wheels.api_facts import ClassFacts
from vc2doctor.curate.wheels.api_release import FOREIGN, NEUTRAL_BASES, ReleaseFacts, is_model_code
from vc2doctor.matrix.api_file import HERE, INHERITS, UNKNOWN_SHAPE, to_text

SKIPPED_METHODS = frozenset({"__init__", "forward"})
"""Methods that are not listed: the first is listed as the class itself, the second changes in most models often."""

Texts = dict[str, dict[str, int]]
"""Key → text → the releases that have this text, as bits."""


class MethodsCollected:
    """The methods of the releases that were read so far."""

    def __init__(self) -> None:
        self.shapes: Texts = defaultdict(dict)
        self.bases: Texts = defaultdict(dict)
        self.passes: Texts = defaultdict(dict)

    def add(self, release: ReleaseFacts, bit: int) -> None:
        """Add what a release has; ``bit`` stands for it."""
        keys = {(module, name): key for key, module, name in release.callables()}
        for (module, name), key in keys.items():
            facts = release.modules[module]
            # Of the code of single models only the classes count that the package exports: their key is a plain name.
            if is_model_code(module) and (":" in key or name not in facts.classes):
                continue
            cls = facts.classes.get(name)
            if cls is None:
                _mark(self.shapes[key], facts.functions[name].shape, bit)
            else:
                self._add_class(key, cls, bit)
                _mark(self.bases[key], " ".join(_bases(release, module, cls, keys)), bit)

    def _add_class(self, key: str, cls: ClassFacts, bit: int) -> None:
        if cls.init is not None and not cls.is_open:
            _mark(self.shapes[key], cls.init.shape, bit)
        for name, signature in cls.methods.items():
            if name not in SKIPPED_METHODS:
                _mark(self.shapes[f"{key}.{name}"], signature.shape, bit)
        for name, items in cls.passes.items():
            for item in (HERE, *items):
                _mark(self.passes[f"{key}.{name}"], item, bit)


def _mark(texts: dict[str, int], text: str, bit: int) -> None:
    texts[text] = texts.get(text, 0) | bit


def _bases(release: ReleaseFacts, module: str, cls: ClassFacts, keys: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Yield the keys of the base classes of a class, without those that have no methods that matter."""
    for base in cls.bases:
        owner, _, name = base.rpartition(".")
        place = release.locate(owner or module, name)
        root = base.partition(".")[0]
        if place is not None:
            yield keys.get(place, UNKNOWN_SHAPE)
        elif root in FOREIGN and root != release.package:
            yield f"{INHERITS}{root}.{name}"
        elif base not in NEUTRAL_BASES and not hasattr(builtins, base):
            yield UNKNOWN_SHAPE


def spans_of(texts: Texts, releases: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the releases of each text, by its key: releases → text."""
    return {
        key: {to_text(selected, releases): text for text, selected in sorted(found.items())}
        for key, found in sorted(texts.items())
    }
