"""One use of something that not every release of a training package has, and what makes such uses."""

import ast
from collections.abc import Iterator
from typing import Literal, NamedTuple

from vc2doctor.linter.analyse.api_guards import Guards
from vc2doctor.linter.analyse.api_names import Inherited, inherited
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import ApiTable, Existence
from vc2doctor.linter.read.module import Class, Module

Kind = Literal["name", "argument", "attribute", "call", "override", "result"]
"""``call``: a call that a release refuses for its arguments. ``override``: a method of the project that does not take
what a release passes to it. ``result``: what a call returns is used as something that a release does not return."""


class Use(NamedTuple):
    """One use of something that not every release has."""

    kind: Kind
    label: str
    """``transformers.deepspeed``, ``TrainingArguments(evaluation_strategy=)``, ``Trainer.use_apex``."""
    existence: Existence
    """The releases with which the use works."""
    file: str
    """The file that was read; the cell of a notebook is not named."""
    module: Module | None
    """``None``: the use is in a launch script."""
    node: ast.AST | None
    line: int
    is_conditional: bool
    hint: str = ""
    """What to write instead; empty: nothing is known."""
    problems: tuple[tuple[int, str], ...] = ()
    """Of calls and overrides: releases as bits, and what is wrong there."""
    only_with: str = ""
    """The engines under which the package does what is wrong; empty: under all of them."""

    def problem(self, position: int) -> str:
        """Return what is wrong in the release at a position; empty: it is what the kind says."""
        return next((text for bits, text in self.problems if bits >> position & 1), "")


class ModuleContext:
    """What the readers of one module share."""

    def __init__(self, code: CodeFacts, module: Module, table: ApiTable, guards: Guards) -> None:
        self.code = code
        self.module = module
        self.table = table
        self.guards = guards
        self._inherited: dict[Class, Inherited | None] = {}

    def base_of(self, cls: Class) -> Inherited | None:
        """Return the class of a package that a class of the project inherits from."""
        if cls not in self._inherited:
            self._inherited[cls] = inherited(self.code, cls)
        return self._inherited[cls]

    def is_guarded(self, statement: ast.stmt | None) -> bool:
        """Return whether a statement runs only if what it names exists."""
        return statement is not None and self.guards.is_guarded(statement)

    def use(  # noqa: PLR0913 - the parts of a use
        self,
        kind: Kind,
        label: str,
        existence: Existence | None,
        node: ast.AST,
        hint: str = "",
        *,
        is_conditional: bool = False,
    ) -> Iterator[Use]:
        """Yield a use of something, if it is known and some release lacks it."""
        if existence is None or existence.bits == self.table.packages[existence.package].everything:
            return
        line: int = getattr(node, "lineno", 1)
        conditional = is_conditional or (isinstance(node, ast.stmt) and self.guards.is_conditional(node))
        yield Use(kind, label, existence, self.module.name, self.module, node, line, conditional, hint)
