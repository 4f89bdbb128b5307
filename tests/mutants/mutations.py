"""Makes the mutants of a file, with the operators of mutmut (https://mutmut.readthedocs.io).

mutmut itself starts one pytest for each mutant, and it leaves decorated functions and constants alone. Half of the
judging code consists of these: each named cause is decorated, and thresholds are constants. So only its operators are
used here. Texts with a space are not mutated: they are sentences for people, and a test that repeats a sentence shows
nothing.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators, operator_string
from mutmut.mutation.pragma_handling import IgnoredCode

_Statement = cst.FunctionDef | cst.SimpleStatementLine


class Mutant(NamedTuple):
    """A changed function or constant of a module."""

    path: str
    """The file, below the root of the repository."""
    line: int
    owner: str
    """Name of the function (``judge``), the method (``Case.version``) or the constant that is changed."""
    before: str
    """The lines that differ, as one line."""
    after: str
    source: str
    """The statement that defines the owner, with the change; its line numbers are those of the file."""
    is_constant: bool


def mutants_of(path: str, text: str) -> Iterator[Mutant]:
    """Yield every mutant of a file: those of its functions and methods, and of the numbers in its constants."""
    wrapper = MetadataWrapper(cst.parse_module(text))
    visitor = _Visitor(_OPERATORS, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    positions, parents = wrapper.resolve(PositionProvider), wrapper.resolve(ParentNodeProvider)
    originals: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for mutation in visitor.mutations:
        owner = _owner(mutation.original_node, parents)
        if owner is None:
            continue
        name, statement = owner
        is_constant = isinstance(statement, cst.SimpleStatementLine)
        if is_constant and not isinstance(mutation.original_node, cst.BaseNumber):
            continue
        if name not in originals:
            originals[name] = _source(statement)
            seen.add((name, _meaning(originals[name])))
        original = originals[name]
        source = _source(statement.deep_replace(mutation.original_node, mutation.mutated_node))
        # 1e38 and 1e+38 are one number, and two operators can make one change.
        meaning = (name, _meaning(source))
        if meaning in seen:
            continue
        seen.add(meaning)
        first = positions[statement].start.line
        position = positions.get(mutation.original_node)
        before, after = _difference(original, source)
        line = position.start.line if position else first
        yield Mutant(path, line, name, before, after, "\n" * (first - 1) + source, is_constant)


class _Visitor(MutationVisitor):
    """Collects mutations as mutmut does, and from decorated functions as well."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef) and node.decorators:
            return False
        return super()._skip_node_and_children(node)


def _value_mutations(node: cst.BaseString) -> Iterable[cst.BaseString]:
    is_sentence = isinstance(node, cst.SimpleString) and " " in node.value
    return () if is_sentence else operator_string(node)


_OPERATORS = [
    (kind, _value_mutations if operator is operator_string else operator) for kind, operator in mutation_operators
]


def _owner(node: cst.CSTNode, parents: Mapping[cst.CSTNode, cst.CSTNode]) -> tuple[str, _Statement] | None:
    """Return the name and the statement of the outermost function, or of the constant, that holds ``node``.

    ``None``: it stands in the body of a class, or in another statement of the module.
    """
    chain = [node]
    while chain[-1] in parents:
        chain.append(parents[chain[-1]])
    names: list[str] = []
    for each in reversed(chain):
        if isinstance(each, cst.ClassDef):
            names.append(each.name.value)
        elif isinstance(each, cst.FunctionDef):
            return ".".join([*names, each.name.value]), each
        elif isinstance(each, cst.SimpleStatementLine):
            name = None if names else _constant_name(each)
            return (name, each) if name else None
    return None


def _constant_name(statement: cst.SimpleStatementLine) -> str | None:
    assignment = statement.body[0]
    if isinstance(assignment, cst.Assign) and isinstance(assignment.targets[0].target, cst.Name):
        return assignment.targets[0].target.value
    return None


def _source(node: cst.CSTNode) -> str:
    """Return the text of a statement without its decorators, and without the comments above it."""
    if isinstance(node, cst.FunctionDef):
        node = node.with_changes(decorators=(), lines_after_decorators=())
    return cst.Module([]).code_for_node(node.with_changes(leading_lines=()))


def _meaning(source: str) -> str:
    """Return what is equal for two texts of one program."""
    return ast.dump(ast.parse(source))


def _difference(before: str, after: str) -> tuple[str, str]:
    """Return the lines in which two texts differ, each as one line."""
    old, new = before.splitlines(), after.splitlines()
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    old, new = old[same:], new[same:]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return tuple(" ".join(line.strip() for line in lines) for lines in (old, new))  # type: ignore[return-value]
