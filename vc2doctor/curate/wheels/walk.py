"""Follow what a door loads inside one package: what it needs from other packages, and under which conditions."""

import ast
import re
from collections.abc import Iterable
from typing import NamedTuple

from vc2doctor.core.versions import ABSENT
from vc2doctor.curate.wheels.contents import FunctionContents, Import, Use
from vc2doctor.curate.wheels.guards import ALWAYS, NEVER, PROBES, Condition, merged
from vc2doctor.curate.wheels.read import KEYWORD_END, KEYWORD_START, Reader
from vc2doctor.matrix.releases import RESULT_END

MAX_CONDITIONS = 2
"""Distributions in the condition of a requirement; more are combinations that hardly anybody has."""
ALWAYS_INSTALLED = frozenset({"torch", "transformers"})
"""Distributions of which a condition need not say that they are installed."""

MAX_HOPS = 4
"""Modules through which a name is passed on before it is given up."""
CHECKS = ("is_", "check_", "require", "validate_")
"""Beginnings of the names of functions that may refuse a version."""

CALLED = re.compile(r"\b(is_\w+)\(\)")
"""A guard that is called without arguments."""

FrozenCondition = tuple[tuple[str, str], ...]
"""A condition as sorted pairs."""


class Need(NamedTuple):
    """Something that a package needs from another one."""

    module: str
    symbol: str
    """Empty: the module itself; ``top`` and dots: an attribute, counted from the top package."""
    is_use: bool
    """Whether it is read as an attribute, and not imported."""
    condition: FrozenCondition
    """The other distributions, and their versions, with which it is needed."""


class Needs(NamedTuple):
    """What some roots need; the values are the files that contain the statements."""

    symbols: dict[Need, str]
    refusals: dict[FrozenCondition, str]
    """Versions of other distributions that the package refuses: it raises an exception."""


def needs(reader: Reader, roots: Iterable[str], others: frozenset[str]) -> Needs:
    """Return what ``roots`` (see ``doors.py``), and all that they import, need from the import packages ``others``."""
    walk = _Walk(reader, others)
    for root in roots:
        module, _, function = root.partition(":")
        if function:
            walk.read_function(module, function)
        else:
            walk.reach(Import(module, ""), ALWAYS)
    walk.finish()
    return walk.result


class _Walk:
    """The modules of one package that were reached, each with the conditions under which it is imported."""

    def __init__(self, reader: Reader, others: frozenset[str]) -> None:
        self.result = Needs({}, {})
        self._reader = reader
        self._others = others
        self._own = reader.package.replace("_", "-")
        self._reached: dict[str, list[Condition]] = {}
        self._waiting: list[tuple[str, Condition]] = []

    def reach(self, entry: Import, condition: Condition) -> None:
        """Note that modules of the package are imported; each is read unless it was reached under fewer conditions."""
        for module in self._loaded(entry):
            known = self._reached.setdefault(module, [])
            if not any(earlier.items() <= condition.items() for earlier in known):
                known.append(condition)
                self._waiting.append((module, condition))

    def _loaded(self, entry: Import) -> Iterable[str]:
        """Yield the modules that an import loads: importing a.b.c also runs a and a.b."""
        parts = entry.module.split(".")
        modules = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        origin = self._reader.origin(entry.module, entry.symbol) if entry.symbol else None
        if origin:
            yield from self._loaded(Import(origin, ""))
        # The symbol may be a module.
        for module in (*modules, f"{entry.module}.{entry.symbol}"):
            if self._reader.file_of(module):
                yield module

    def finish(self) -> None:
        """Read every module that was reached."""
        while self._waiting:
            # Few conditions first: what is needed always need not be followed once more.
            self._waiting.sort(key=lambda pair: len(pair[1]), reverse=True)
            module, condition = self._waiting.pop()
            read = self._reader.contents(module)
            self._read(read.imports, read.uses, module, condition)
            for call in read.init_calls:
                base, _, name = call.base.rpartition(".")
                if base.partition(".")[0] in self._others:
                    for keyword in call.keywords:
                        symbol = f"{name}{KEYWORD_START}{keyword}{KEYWORD_END}"
                        self._need(Need(base, symbol, is_use=False, condition=()), condition, module)

    def read_function(self, module: str, name: str) -> None:
        """Read what a function needs when it runs, and what it, and the functions that it calls, refuse."""
        function = self._reader.function(module, name)
        if function is None:
            return
        self._read(function.imports, function.uses, module, ALWAYS)
        self._refuse(function, module, ALWAYS)
        for called, guards in function.calls:
            if not called.startswith(CHECKS):
                continue
            condition = self._reader.condition(guards, module)
            defined_in = self._defined_in(module, called)
            other = self._reader.function(defined_in, called) if defined_in else None
            if other is not None and condition is not None and defined_in:
                self._refuse(other, defined_in, condition)

    def _defined_in(self, module: str, name: str) -> str | None:
        """Return the module of the package that defines a name which another one imports; ``None``: none does."""
        for _ in range(MAX_HOPS):
            definition = self._reader.definition(module, name)
            if definition is None or definition.module.partition(".")[0] != self._reader.package:
                return None
            if definition.module == module:
                return module
            module = definition.module
        return None

    def _refuse(self, function: FunctionContents, module: str, condition: Condition) -> None:
        for guards in function.refusals:
            known = self._reader.condition(guards, module)
            frozen = None if known is None else self._frozen(merged(condition, known), "")
            if frozen and any(text for _, text in frozen):
                self.result.refusals.setdefault(frozen, self._reader.file_of(module) or module)

    def _read(self, imports: Iterable[Import], uses: Iterable[Use], module: str, condition: Condition) -> None:
        for entry in imports:
            top = entry.module.partition(".")[0]
            known = self._reader.condition(entry.guards, module)
            if known is None:
                continue
            both = merged(condition, known)
            if top not in self._others and top != self._reader.package:
                self._need_truth_value(entry, module, condition, known)
            elif top in self._others:
                self._need(Need(entry.module, entry.symbol, is_use=False, condition=()), both, module)
            elif self._frozen(both, "") is not None:
                self.reach(entry, both)
        for use in uses:
            top, _, rest = use.dotted.partition(".")
            if top in self._others:
                known = self._reader.condition(use.guards, module)
                if known is not None:
                    self._need(Need(top, rest, is_use=True, condition=()), merged(condition, known), module)

    def _need_truth_value(self, entry: Import, module: str, condition: Condition, known: Condition) -> None:
        """Note a guard whose answer is a function of another package: a tuple as its result is always true.

        Then a package is imported that is not installed.
        """
        top = entry.module.partition(".")[0]
        probe = self._foreign_probe(entry, module) if list(known.values()) == [""] else None
        frozen = self._frozen(condition, "")
        if probe is not None and frozen is not None:
            need = Need(probe.module, f"{probe.symbol}{RESULT_END}", is_use=False, condition=())
            absent = tuple(sorted((*frozen, (top.replace("_", "-"), ABSENT))))
            file = self._reader.file_of(module) or module
            self.result.symbols.setdefault(need._replace(condition=absent), file)

    def _foreign_probe(self, entry: Import, module: str) -> Import | None:
        """Return the import of the function that says whether the imported package is installed, if it is foreign."""
        top = entry.module.partition(".")[0]
        for name in CALLED.findall(" ".join(entry.guards)):
            defined_in = self._defined_in(module, name)
            if defined_in is None:
                continue
            answers = [self._reader.definition(defined_in, text) for text in (name, f"_{top}_available")]
            sources = [ast.unparse(answer.node) for answer in answers if answer]
            for probe in self._reader.contents(defined_in).imports:
                call = f"{probe.symbol}({top!r})"
                is_answer = any(source.endswith((f"= {call}", f"return {call}")) for source in sources)
                if probe.symbol in PROBES and is_answer and probe.module.partition(".")[0] in self._others:
                    return probe
        return None

    def _need(self, need: Need, condition: Condition, module: str) -> None:
        frozen = self._frozen(condition, need.module)
        if frozen is not None:
            self.result.symbols.setdefault(need._replace(condition=frozen), self._reader.file_of(module) or module)

    def _frozen(self, condition: Condition, provider: str) -> FrozenCondition | None:
        """Return a condition as pairs, without what goes without saying; ``None``: it never holds, or asks too much."""
        if condition == NEVER or ABSENT in condition.values():
            return None
        name = provider.partition(".")[0].replace("_", "-")
        kept = [
            (distribution, text)
            for distribution, text in condition.items()
            if distribution != self._own and (text or distribution not in (name, *ALWAYS_INSTALLED))
        ]
        return tuple(sorted(kept)) if len(kept) <= MAX_CONDITIONS else None
