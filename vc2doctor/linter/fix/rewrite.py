"""Applies edits to one file: Python by LibCST, so that formatting is kept; configurations by lines."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from vc2doctor.linter.model import Edit, FixError


def rewrite(text: str, edits: Iterable[Edit], *, python: bool) -> str:
    """Return ``text`` with ``edits`` applied; an edit that is made twice is made once.

    Raises:
        FixError: LibCST cannot read the file, or an edit's place is not in it.
    """
    unique = list(dict.fromkeys(edits))
    lines = [edit for edit in unique if edit.kind in ("after", "line")]
    trees = [edit for edit in unique if edit.kind not in ("after", "line")]
    if trees and not python:
        message = f"{trees[0].path}:{trees[0].line}: this is no Python"
        raise FixError(message)
    return _by_lines(_by_tree(text, trees) if trees else text, lines)


def _by_lines(text: str, edits: list[Edit]) -> str:
    # Not splitlines: that ends lines at form feeds, too, which neither Python nor YAML does.
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda edit: -edit.line):
        at = edit.line - 1
        if edit.kind == "line":
            lines[at] = lines[at].replace(edit.name or "", edit.text)
            continue
        carriage = "\r" if lines[at].endswith("\r") else ""
        if edit.line == len(lines):
            lines.append("")
        lines.insert(edit.line, edit.text + carriage)
    return "\n".join(lines)


_DEEPEST = 400
"""Levels of a tree. LibCST 1.9 recurses in native code, and ends the process instead of raising."""


def _depth(text: str) -> int:
    deepest = 0
    nodes: list[tuple[int, ast.AST]] = [(0, ast.parse(text))]
    while nodes:
        depth, node = nodes.pop()
        deepest = max(deepest, depth)
        nodes.extend((depth + 1, child) for child in ast.iter_child_nodes(node))
    return deepest


def _by_tree(text: str, edits: list[Edit]) -> str:
    if _depth(text) > _DEEPEST:
        message = f"{edits[0].path}: it is nested too deeply to be edited"
        raise FixError(message)
    try:
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        rewriter = _Rewriter(text, edits)
        changed = wrapper.visit(rewriter)
    except (cst.ParserSyntaxError, RecursionError) as error:
        message = f"{edits[0].path}: LibCST cannot read it: {error}"
        raise FixError(message) from error
    lost = [edit for edit in edits if edit not in rewriter.made]
    if lost:
        message = f"{lost[0].path}:{lost[0].line}: the place of an edit was not found; nothing was written"
        raise FixError(message)
    return changed.code


class _Rewriter(cst.CSTTransformer):
    """Makes each edit at the node that stands exactly where it says."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, text: str, edits: list[Edit]) -> None:
        super().__init__()
        self.made: set[Edit] = set()
        self._lines = text.split("\n")
        self._at: dict[tuple[int, int, int, int], list[Edit]] = defaultdict(list)
        self._comments = [edit for edit in edits if edit.kind == "recomment"]
        # A function may have no comment to correct.
        self.made.update(edit for edit in self._comments if edit.name is not None)
        for edit in edits:
            if edit.kind != "recomment":
                self._at[self._span(edit)].append(edit)

    def _span(self, edit: Edit) -> tuple[int, int, int, int]:
        """Return the edit's span in characters, as LibCST counts."""
        return (
            edit.line,
            self._column(edit.line, edit.column),
            edit.end_line,
            self._column(edit.end_line, edit.end_column),
        )

    def _column(self, line: int, column: int) -> int:
        return len(self._lines[line - 1].encode()[:column].decode(errors="ignore"))

    def _edits(self, node: cst.CSTNode, kind: str) -> list[Edit]:
        found = self.get_metadata(PositionProvider, node)
        span = (found.start.line, found.start.column, found.end.line, found.end.column)
        return [edit for edit in self._at.get(span, []) if edit.kind == kind]

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        """Make the edits of any expression, then those of its kind."""
        left = super().on_leave(original_node, updated_node)
        if isinstance(original_node, cst.BaseExpression) and isinstance(left, cst.BaseExpression):
            for edit in self._edits(original_node, "replace"):
                self.made.add(edit)
                # mypy cannot know that an expression may stand where another did.
                return cst.parse_expression(edit.text)  # type: ignore[return-value]
        return left

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        """Give a call its keyword, where it had it or at the end."""
        for edit in self._edits(original_node, "keyword"):
            self.made.add(edit)
            updated_node = _with_keyword(updated_node, edit.name or "", edit.text)
        for edit in self._edits(original_node, "first"):
            self.made.add(edit)
            value = cst.Arg(cst.parse_expression(edit.text))
            updated_node = updated_node.with_changes(args=[value, *updated_node.args])
        return updated_node

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        """Take names out of an import; the last takes the statement with it."""
        names = {edit.name for edit in self._edits(original_node, "unimport")}
        self.made.update(self._edits(original_node, "unimport"))
        if not names or isinstance(updated_node.names, cst.ImportStar):
            return updated_node
        kept = [name for name in updated_node.names if _local(name) not in names]
        if not kept:
            return cst.RemoveFromParent()
        return updated_node.with_changes(names=[*kept[:-1], kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)])

    def leave_Comment(self, original_node: cst.Comment, updated_node: cst.Comment) -> cst.Comment:
        """Correct comments that name the dtype that was."""
        line = self.get_metadata(PositionProvider, original_node).start.line
        for edit in self._comments:
            if edit.name is not None and edit.line <= line <= edit.end_line:
                value = re.sub(rf"(?<![a-z]){re.escape(edit.name)}", edit.text, updated_node.value)
                updated_node = updated_node.with_changes(value=value)
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine:
        """Put the reason beside a changed statement that has no comment."""
        last = self.get_metadata(PositionProvider, original_node).end.line
        for edit in self._comments:
            if edit.name is None and edit.line == last:
                self.made.add(edit)
                trailing = updated_node.trailing_whitespace
                if trailing.comment is None:
                    said = trailing.with_changes(
                        whitespace=cst.SimpleWhitespace("  "), comment=cst.Comment(f"# {edit.text}")
                    )
                    updated_node = updated_node.with_changes(trailing_whitespace=said)
        return updated_node


def _local(name: cst.ImportAlias) -> str:
    alias = name.asname.name if name.asname else name.name
    return alias.value if isinstance(alias, cst.Name) else ""


def _with_keyword(call: cst.Call, name: str, text: str) -> cst.Call:
    value = cst.parse_expression(text)
    for at, argument in enumerate(call.args):
        if argument.keyword is not None and argument.keyword.value == name:
            arguments = [*call.args]
            arguments[at] = argument.with_changes(value=value)
            return call.with_changes(args=arguments)
    tight = cst.AssignEqual(whitespace_before=cst.SimpleWhitespace(""), whitespace_after=cst.SimpleWhitespace(""))
    added = cst.Arg(keyword=cst.Name(name), value=value, equal=tight)
    if not call.args:
        return call.with_changes(args=[added])
    last = call.args[-1]
    between = _between(call)
    if isinstance(last.comma, cst.Comma):
        # One argument a line, with a comma after each: so is the new one, and a comment stays with its argument.
        end = last.comma.whitespace_after
        own = last.with_changes(comma=cst.Comma(whitespace_after=_commented(between, end)))
        return call.with_changes(
            args=[*call.args[:-1], own, added.with_changes(comma=cst.Comma(whitespace_after=_bare(end)))]
        )
    end = last.whitespace_after_arg
    own = last.with_changes(
        comma=cst.Comma(whitespace_after=_commented(between, end)), whitespace_after_arg=cst.SimpleWhitespace("")
    )
    return call.with_changes(args=[*call.args[:-1], own, added.with_changes(whitespace_after_arg=_bare(end))])


def _between(call: cst.Call) -> cst.BaseParenthesizableWhitespace:
    """Return what stands between two arguments of a call, without comments."""
    commas = [argument.comma for argument in call.args[:-1] if isinstance(argument.comma, cst.Comma)]
    if commas:
        return _bare(commas[-1].whitespace_after)
    broken = isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace)
    return _bare(call.whitespace_before_args) if broken else cst.SimpleWhitespace(" ")


def _bare(space: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return space
    first = space.first_line.with_changes(whitespace=cst.SimpleWhitespace(""), comment=None)
    return space.with_changes(first_line=first, empty_lines=[])


def _commented(
    space: cst.BaseParenthesizableWhitespace, said: cst.BaseParenthesizableWhitespace
) -> cst.BaseParenthesizableWhitespace:
    """Return ``space`` with the comment that ``said`` has on its first line."""
    if isinstance(said, cst.ParenthesizedWhitespace) and said.first_line.comment is not None:
        if isinstance(space, cst.ParenthesizedWhitespace):
            return space.with_changes(first_line=said.first_line)
        return said
    return space
