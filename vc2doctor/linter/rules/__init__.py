"""The rules, one module each: a pure function from facts to findings. The docstring of the module is the rule's page.

A page begins with a sentence for the table of rules. Its parts follow in the order of ``PAGE_PARTS``, which is that of
ruff's pages (https://docs.astral.sh/ruff/rules/). How a line is kept is told under "How to fix".

A rule is a module ``vcNNN_name`` with a function ``find``. To add a rule, add its file; nothing else has to change.
"""

from collections.abc import Callable, Iterator
from types import ModuleType

from vc2doctor.core import discovery
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.model import CodeFinding

PAGE_PARTS = ("What it does.", "Why is this bad.", "Example", "Use instead", "How to fix.", "Quiet.", "References")
"""The parts of a page, in order. Each stands in bold at the start of a paragraph."""
Rule = Callable[[Facts], Iterator[CodeFinding]]


def ids() -> tuple[str, ...]:
    """Return the id of every rule, by number."""
    return tuple(discovery.id_of(name) for name in discovery.numbered_module_names(__path__))


def modules() -> dict[str, ModuleType]:
    """Return the modules of all rules, by id."""
    return discovery.modules(__name__, __path__)


def pages() -> dict[str, str]:
    """Return the pages of all rules, by id."""
    return discovery.pages(__name__, __path__)


def run(facts: Facts, selected: frozenset[str]) -> tuple[CodeFinding, ...]:
    """Return the findings of the selected rules."""
    findings: list[CodeFinding] = []
    for id_, module in modules().items():
        if id_ in selected:
            rule: Rule = module.find
            findings.extend(rule(facts))
    return tuple(findings)
