"""What is made from the code, by document: tables of recipes, rules, doors, causes, and the picture of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests import test_layers as layers
from tests.faults import page as faults
from tests.pages import man
from vc2doctor import checks
from vc2doctor.commands.integrations import INTEGRATIONS
from vc2doctor.linter import rules
from vc2doctor.probe import diagnose
from vc2doctor.target.doors import DOORS
from vc2doctor.target.shared.recipes import RECIPES, Recipe

ROOT = Path(__file__).parents[2]


def recipes() -> str:
    """Return the table of precision recipes."""
    rows = [("recipe", "base weights", "autocast", "GradScaler", "what it is")]
    rows += [
        (f"`{each.name}`", each.base, _autocast(each), _yes(each.scaled), each.summary) for each in RECIPES.values()
    ]
    return _table(rows)


def _autocast(recipe: Recipe) -> str:
    if recipe.inner:
        return f"{recipe.inner} inside {recipe.outer}"
    return recipe.outer or "none"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def rule_table() -> str:
    """Return the table of lint rules: id, and the first sentence of its page."""
    return _table([("id", "finds"), *((id_, _first_sentence(page)) for id_, page in rules.pages().items())])


def check_table() -> str:
    """Return the table of checks: id, and the first sentence of its page."""
    return _table([("id", "finds"), *((id_, _first_sentence(page)) for id_, page in checks.pages().items())])


def door_table() -> str:
    """Return the table of doors: name, title, and the packages that it needs beside the stack."""
    rows = [("`--door`", "trains through", "needs")]
    rows += [
        (f"`{door.name}`", door.title, ", ".join(name.replace("|", " or ") for name in door.modules) or "the stack")
        for door in DOORS.values()
    ]
    return _table(rows)


def cause_table() -> str:
    """Return the table of named causes, each with its remedy."""
    pages = {name: page.partition("\n\n")[0].replace("\n", " ") for name, page in diagnose.pages().items()}
    return _table([("cause", "what fixes it"), *((f"`{name}`", text) for name, text in pages.items())])


def _first_sentence(page: str) -> str:
    return page.partition("\n\n")[0].replace("\n", " ").rstrip(".")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *body = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def integration_table() -> str:
    """Return the table of integrations: what ``vc2doctor init`` writes, and how it is tested."""
    rows = [("name", "file", "what it is", "tests")]
    rows += [(f"`{each.name}`", f"`{each.path}`", each.purpose, each.tested) for each in INTEGRATIONS]
    return _table(rows)


def picture() -> str:
    """Return the layers as a Mermaid graph."""
    lines = [f"    {_id(source)} --> {_id(target)}" for source, target in sorted(set(_between_layers()))]
    named = [f'    {_id(layer)}["{layer.replace(".", "/")}"]' for layer in layers.LAYERS]
    return "\n".join(["```mermaid", "flowchart TD", *named, *lines, "```"])


def _between_layers() -> Iterator[tuple[str, str]]:
    for source, target in layers.arrows():
        above, below = layers.layer_of(source), layers.layer_of(target)
        # `core` is used by all of them; its arrows would only hide the others.
        if above and below and above != below and below not in ("core", "findings"):
            yield above, below


def _id(layer: str) -> str:
    return layer.replace(".", "_")


BLOCKS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"recipes": recipes},
    "docs/lint.md": {"rules": rule_table},
    "docs/checks.md": {"checks": check_table},
    "docs/probe.md": {"doors": door_table, "causes": cause_table},
    "docs/architecture.md": {"layers": picture},
    "docs/ci.md": {"integrations": integration_table},
    "docs/faults.md": {"faults": faults.table},
}
"""Document → name of a block → what makes it. In the document a block stands between two comments."""
FILES: Mapping[str, Callable[[], str]] = {"docs/vc2doctor.1": man.page}
"""Files that are made as a whole."""
DOCUMENTS = (*BLOCKS, *FILES)


def made(document: str) -> str:
    """Return a document with its blocks as the code makes them now, or a file that is made as a whole.

    Raises:
        ValueError: the document lacks the comments of a block.
    """
    if document in FILES:
        return FILES[document]()
    text = (ROOT / document).read_text(encoding="utf-8")
    for name, make in BLOCKS[document].items():
        start, end = f"<!-- made from the code: {name} -->", f"<!-- end of {name} -->"
        if start not in text or end not in text.partition(start)[2]:
            message = f"{document}: put the lines {start!r} and {end!r} where the table belongs"
            raise ValueError(message)
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text
