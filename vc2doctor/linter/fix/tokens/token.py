"""A mention of float16, with what a switch to bfloat16 does about it."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from vc2doctor.linter import change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.model import Edit, EditKind
from vc2doctor.linter.read.module import Module, last_name

MAX_CODE_LENGTH = 80
"""Characters of code in a reason. Longer code is cut, so that a reason stays on one or two lines."""

TEXTS = {
    "fp16": "bf16",
    "float16": "bfloat16",
    "half": "bfloat16",
    "16": "bf16",
    "16-mixed": "bf16-mixed",
    "16-true": "bf16-true",
    "torch.float16": "torch.bfloat16",
    "torch.half": "torch.bfloat16",
    "torch.halftensor": "torch.BFloat16Tensor",
    "torch.cuda.halftensor": "torch.cuda.BFloat16Tensor",
}
"""Names of float16 as text, in lower case, and the same of bfloat16. Lightning takes ``bf16`` in every release, and
``bf16-mixed`` since 2.0: https://lightning.ai/docs/pytorch/stable/common/trainer.html#precision."""
AMBIGUOUS_TEXTS = ("half", "16")
"""They name a precision only where a key or an argument says so."""
PRECISION_KEY = re.compile(r"(dtype|precision)$|^(amp|amp_type|compute_type)$", re.IGNORECASE)
SWITCH = re.compile(r"^(use_|enable_|is_)?(fp16|float16|half|half_precision)$|^fp16_full_eval$", re.IGNORECASE)
"""Names of switches that turn float16 on."""
BFLOAT16 = re.compile(r"bfloat16|bf16", re.IGNORECASE)
QUANTIZED = re.compile(r"gptq|(?<![a-z])awq(?![a-z])|[-_]int[48](?![a-z0-9])", re.IGNORECASE)
"""Names of bases whose kernels take float16 only, as Qwen's recipe for its Int4 models says:
https://github.com/QwenLM/Qwen/blob/main/finetune/finetune_qlora_single_gpu.sh."""


class Token(NamedTuple):
    """A mention of float16 at a line of a file. It is converted, or it stays, or it refuses the change."""

    path: str
    line: int
    code: str
    edits: tuple[Edit, ...] = ()
    """The edits that convert it to bfloat16."""
    stays: str | None = None
    """Why it may stay after the switch."""
    refuses: str | None = None
    """Why the switch cannot be completed here, and what to do by hand."""
    is_obstacle: bool = False
    """It is no float16 itself, but it stands in the way of bfloat16 (``.numpy()``, a custom operator)."""

    @property
    def location(self) -> str:
        """``path:line``."""
        return f"{self.path}:{self.line}"

    @property
    def is_float16(self) -> bool:
        """Whether the program computes in float16 here, or may do so."""
        return not self.is_obstacle and (bool(self.edits) or self.refuses is not None)


@dataclass(frozen=True, eq=False)
class CodeFile:
    """A Python file, as the finders need it."""

    name: str
    tree: ast.Module
    imports: Mapping[str, str]
    """Local name → dotted name."""
    parents: Mapping[ast.AST, ast.AST]
    module: Module | None = None
    """The facts of the file, if the linter has any."""
    is_notebook: bool = False
    is_inference: bool = False
    """The path of the file says that it evaluates, serves or converts."""
    is_settings: bool = False
    """The file only assigns settings."""

    def is_own(self, function: ast.expr, context: "Context") -> bool:
        """Return whether the program itself defines what is called, perhaps under another name."""
        names = {last_name(function), self.dotted(function).rpartition(".")[2]}
        return bool(names & context.definitions)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the file."""
        return tuple(ast.walk(self.tree))

    def dotted(self, node: ast.AST) -> str:
        """Return the full dotted name of ``a.b.c``; ``""`` for other expressions."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        parts.append(self.imports.get(node.id, node.id))
        return ".".join(reversed(parts))

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parent of a node, the parent of that, and so on."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """Return the innermost statement that a node is in."""
        if isinstance(node, ast.stmt):
            return node
        return next((each for each in self.ancestors(node) if isinstance(each, ast.stmt)), None)

    def converted(self, node: ast.expr | ast.stmt, *edits: Edit, is_obstacle: bool = False) -> Token:
        """Return a token that ``edits`` convert. Notebooks are not edited."""
        if self.is_notebook:
            return self.refused(node, "notebooks are not edited. Change it by hand.", is_obstacle=is_obstacle)
        return self._token(node)._replace(edits=edits, is_obstacle=is_obstacle)

    def kept(self, node: ast.AST, reason: str) -> Token:
        """Return a token that stays."""
        return self._token(node)._replace(stays=reason)

    def refused(self, node: ast.AST, reason: str, *, is_obstacle: bool = False) -> Token:
        """Return a token that refuses the change."""
        return self._token(node)._replace(refuses=reason, is_obstacle=is_obstacle)

    def _token(self, node: ast.AST) -> Token:
        line: int = getattr(node, "lineno", 1)
        path = self.name
        if self.module is not None:
            path, line = self.module.source.location_of(line)
        return Token(path, line, shortened(ast.unparse(node)))

    def edit(self, node: ast.expr | ast.stmt, kind: EditKind, text: str, name: str | None = None) -> Edit:
        """Return an edit of a node."""
        return change.edit_node(self.name, node, kind, text, name)

    def replaced(self, node: ast.expr, text: str) -> Edit:
        """Return the edit that replaces an expression."""
        return self.edit(node, "replace-expression", text)


@dataclass(frozen=True, eq=False)
class Context:
    """What the finders need to know of the whole program."""

    facts: Facts | None = None
    strings: frozenset[str] = frozenset()
    """Every text in its code."""
    definitions: frozenset[str] = frozenset()
    """The names of its own functions and classes."""
    trainer_classes: frozenset[str] = frozenset()
    """Its own classes that derive from the arguments of transformers' trainer."""
    own_flags: frozenset[str] = frozenset()
    """The flags that its own argument parser declares: ``--fp16``."""
    reads: frozenset[str] = frozenset()
    """The attributes and keys that its code reads."""
    mentions: frozenset[str] = frozenset()
    """The names, attributes and texts in its code: what is not among them is never called."""
    parses_trainer_arguments: bool = False
    """Its command line takes the flags of transformers' TrainingArguments."""
    reads_dtype_by_name: bool = False
    """It turns a text into a dtype of torch: ``getattr(torch, name)``."""
    scaler_is_used: bool = True
    """Some call of ``scaler.scale`` is not in a branch that is never taken."""


def shortened(text: str) -> str:
    """Return code on one line, cut after ``MAX_CODE_LENGTH`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_CODE_LENGTH else f"{line[: MAX_CODE_LENGTH - 1]}…"


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the argument of a call with this keyword."""
    return next((each.value for each in call.keywords if each.arg == name), None)


def is_constant(node: ast.AST | None, *values: object) -> bool:
    """Return whether a node is one of these constants; ``1`` is not ``True``."""
    if not isinstance(node, ast.Constant):
        return False
    return any(type(node.value) is type(value) and node.value == value for value in values)


def is_true(node: ast.AST | None) -> bool:
    """Return whether a node is the constant ``True``."""
    return isinstance(node, ast.Constant) and node.value is True


def is_off(node: ast.AST | None, *texts: str) -> bool:
    """Return whether a node is ``False``, ``None``, or one of ``texts``."""
    if not isinstance(node, ast.Constant):
        return False
    return node.value is False or node.value is None or node.value in texts


def call_name(node: ast.AST | None) -> str:
    """Return the last part of the name that a call calls; ``""`` for other nodes."""
    return last_name(node.func) if isinstance(node, ast.Call) else ""
