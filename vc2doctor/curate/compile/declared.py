"""Constraints that the released wheels show by themselves: who needs what, and who has it."""

from collections import defaultdict
from collections.abc import Iterator

from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import Version

from vc2doctor.matrix.compiled import Constraint
from vc2doctor.matrix.releases import Wheels, members, runs, specifier

_CHECKED = {"transformers": ("tokenizers", "huggingface-hub"), "torchvision": ("torch",)}
"""Whose declarations are enforced: ``transformers/dependency_versions_check.py`` compares them when it is imported;
torchvision's operators are built against one torch (https://github.com/pytorch/vision#installation)."""
_NEGATED = {">=": ("<",), ">": ("<=",), "<": (">=",), "<=": (">",), "==": ("<", ">"), "!=": ("==",)}
_MOST_SYMBOLS = 3


def constraints(wheels: Wheels) -> list[Constraint]:
    """Return what ``wheels`` show, without what is part of something wider."""
    found = [*_symbols(wheels), *_checked(wheels), *_pythons(wheels)]
    covers = {id(one): {name: _chosen(text, name, wheels) for name, text in one.when.items()} for one in found}
    return [
        one
        for one in found
        if not any(_is_part(one, covers[id(one)], other, covers[id(other)]) for other in found if other is not one)
    ]


def _symbols(wheels: Wheels) -> Iterator[Constraint]:
    boxes: dict[tuple[str, str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for need in wheels.required:
        has = next(
            (has for has in wheels.provided if (has.module, has.symbol) == (need.module, need.symbol)),
            None,
        )
        ordered = wheels.ordered(need.of)
        if has is None or not ordered:
            continue
        having = members(has.releases, ordered)
        since = _told(has.releases, ordered)
        for run in need.releases:
            for lacking in runs(set(ordered) - having, ordered):
                key = (
                    need.package,
                    specifier(run, wheels.ordered(need.package)),
                    need.of,
                    specifier(lacking, ordered),
                )
                name = f"{need.symbol} of {need.module}" if need.symbol else need.module
                boxes[key].append((name, f"{name} (in {need.file}), which {need.of} has {since}"))
    for (package, ours, other, theirs), symbols in boxes.items():
        told = "; ".join(text for _, text in symbols[:_MOST_SYMBOLS])
        more = f", and {len(symbols) - _MOST_SYMBOLS} more" if len(symbols) > _MOST_SYMBOLS else ""
        yield Constraint(
            id=_slug(package, ours, other, theirs, symbols[0][0]),
            kind="symbol",
            reason=f"{package} {ours or '(every release)'} imports {told}{more}",
            when={package: ours, other: theirs},
        )


def _told(ranges: tuple[tuple[str, str], ...], ordered: tuple[str, ...]) -> str:
    if not ranges:
        return f"in no release up to {ordered[-1]}"
    parts = []
    for first, last in ranges:
        low = "" if first == ordered[0] else f"from {first}"
        high = "" if last == ordered[-1] else f"up to {last}"
        parts.append(" ".join(part for part in (low, high) if part) or "always")
    return " and ".join(parts)


def _checked(wheels: Wheels) -> Iterator[Constraint]:
    for package, others in _CHECKED.items():
        ordered = wheels.ordered(package)
        for other in others:
            by_text: dict[str, set[str]] = defaultdict(set)
            for text in ordered:
                by_text[wheels.releases[package][text].requires.get(other, "")].add(text)
            for wanted, chosen in by_text.items():
                for run in runs(chosen, ordered):
                    for refused in _complement(SpecifierSet(wanted)):
                        ours = specifier(run, ordered)
                        yield Constraint(
                            id=_slug(package, ours, other, refused, "checked"),
                            kind="declared",
                            reason=f"{package} {ours} works with {other}{wanted} only, and says so when it is imported",
                            when={package: ours, other: refused},
                        )


def _complement(wanted: SpecifierSet) -> Iterator[str]:
    for one in sorted(wanted, key=str):
        if not one.version.endswith(".*") and one.operator in _NEGATED:
            for operator in _NEGATED[one.operator]:
                yield str(Specifier(f"{operator}{one.version}"))


def _pythons(wheels: Wheels) -> Iterator[Constraint]:
    minors = [f"3.{minor}" for minor in range(7, 16)]
    for package in ("torch", "transformers", "peft"):
        ordered = wheels.ordered(package)
        for python in minors:
            refused = {text for text in ordered if not _installs(wheels, package, text, python)}
            for run in runs(refused, ordered):
                ours = specifier(run, ordered)
                yield Constraint(
                    id=_slug(package, ours, "python", python, "wheel"),
                    kind="install",
                    reason=f"{package} {ours or '(every release)'} is not released for Python {python}",
                    when={package: ours, "python": f"=={python}"},
                )


def _installs(wheels: Wheels, package: str, text: str, python: str) -> bool:
    release = wheels.releases[package][text]
    # The newest patch release of an interpreter stands for it: 3.8.99 satisfies >=3.8.1.
    fits = not release.python or SpecifierSet(release.python).contains(f"{python}.99")
    return fits and (not release.built_for or python in release.built_for)


def _is_part(
    one: Constraint, inside: dict[str, frozenset[str]], other: Constraint, outside: dict[str, frozenset[str]]
) -> bool:
    if one.kind != other.kind or inside.keys() != outside.keys():
        return False
    if inside == outside:
        return one.id > other.id
    return all(inside[name] <= outside[name] for name in inside)


def _chosen(text: str, name: str, wheels: Wheels) -> frozenset[str]:
    if name == "python":
        return frozenset({text})
    return frozenset(found for found in wheels.ordered(name) if SpecifierSet(text).contains(Version(found)))


def _slug(*words: str) -> str:
    text = "-".join(words).replace(">=", "from-").replace("<=", "to-").replace("<", "below-").replace("==", "")
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in text.lower()).replace(",", "-")
