"""Applies edits to one file: to Python with LibCST, which keeps the formatting; to other files by lines."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from vc2doctor.linter.model import Edit, FixError

_LINE_KINDS = ("insert-line", "replace-in-line", "replace-span")
_COMMENT_KINDS = ("replace-in-comments", "add-comment")

MAX_TREE_DEPTH = 400
"""Levels of a syntax tree that LibCST is given. LibCST 1.9 recurses in native code: on deeper trees it ends the process
and raises no exception."""


def rewrite(text: str, edits: Iterable[Edit], *, is_python: bool) -> str:
    """Return ``text`` with ``edits`` applied. Equal edits are applied once.

    Raises:
        FixError: LibCST cannot read the file, or the place of an edit is not in it.
    """
    unique = list(dict.fromkeys(edits))
    line_edits = [edit for edit in unique if edit.kind in _LINE_KINDS]
    tree_edits = [edit for edit in unique if edit.kind not in _LINE_KINDS]
    if tree_edits and not is_python:
        message = f"{tree_edits[0].path}:{tree_edits[0].line}: this is no Python"
        raise FixError(message)
    return _edit_lines(_edit_tree(text, tree_edits) if tree_edits else text, line_edits)


def _edit_lines(text: str, edits: list[Edit]) -> str:
    # Not splitlines: it also splits at form feeds, which end a line neither in Python nor in YAML.
    lines = text.split("\n")
    # From the last line to the first, so that an inserted line does not move the places of other edits.
    for edit in sorted(edits, key=lambda edit: (-edit.line, -edit.column)):
        index = edit.line - 1
        if edit.kind == "replace-span":
            before, after = lines[index][: edit.column], lines[edit.end_line - 1][edit.end_column :]
            lines[index : edit.end_line] = f"{before}{edit.text}{after}".split("\n")
            continue
        if edit.kind == "replace-in-line":
            lines[index] = lines[index].replace(edit.old or "", edit.text)
            continue
        carriage_return = "\r" if lines[index].endswith("\r") else ""
        if edit.line == len(lines):
            # The last line has no line end: the inserted line gets one.
            lines.append("")
        lines.insert(edit.line, edit.text + carriage_return)
    return "\n".join(lines)


def _edit_tree(text: str, edits: list[Edit]) -> str:
    path = edits[0].path
    if _tree_depth(text) > MAX_TREE_DEPTH:
        message = f"{path}: it is nested too deeply to be edited"
        raise FixError(message)
    try:
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        rewriter = _Rewriter(text, edits)
        changed = wrapper.visit(rewriter)
    except (cst.ParserSyntaxError, RecursionError) as error:
        message = f"{path}: LibCST cannot read it: {error}"
        raise FixError(message) from error
    missing = [edit for edit in edits if edit not in rewriter.applied]
    if missing:
        message = f"{missing[0].path}:{missing[0].line}: the place of an edit was not found; nothing was written"
        raise FixError(message)
    return changed.code


def _tree_depth(text: str) -> int:
    max_depth = 0
    nodes: list[tuple[int, ast.AST]] = [(0, ast.parse(text))]
    while nodes:
        depth, node = nodes.pop()
        max_depth = max(max_depth, depth)
        nodes.extend((depth + 1, child) for child in ast.iter_child_nodes(node))
    return max_depth


Span = tuple[int, int, int, int]
"""First line, first column, last line and last column, in characters."""


class _Rewriter(cst.CSTTransformer):
    """Applies each edit to the node that has exactly the span of the edit."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, text: str, edits: list[Edit]) -> None:
        super().__init__()
        self._lines = text.split("\n")
        self._node_edits: dict[Span, list[Edit]] = defaultdict(list)
        self._comment_edits = [edit for edit in edits if edit.kind in _COMMENT_KINDS]
        for edit in edits:
            if edit.kind not in _COMMENT_KINDS:
                self._node_edits[self._span(edit)].append(edit)
        # A function may have no comment that names the old dtype, so this edit never counts as missing.
        self.applied = {edit for edit in self._comment_edits if edit.kind == "replace-in-comments"}

    def _span(self, edit: Edit) -> Span:
        """Return the span of an edit with columns in characters: ``ast`` counts bytes, LibCST characters."""
        return (
            edit.line,
            self._column(edit.line, edit.column),
            edit.end_line,
            self._column(edit.end_line, edit.end_column),
        )

    def _column(self, line: int, column: int) -> int:
        return len(self._lines[line - 1].encode()[:column].decode(errors="ignore"))

    def _edits_of(self, node: cst.CSTNode, kind: str) -> list[Edit]:
        position = self.get_metadata(PositionProvider, node)
        span = (position.start.line, position.start.column, position.end.line, position.end.column)
        return [edit for edit in self._node_edits.get(span, []) if edit.kind == kind]

    def on_leave(
        self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT
    ) -> cst.CSTNodeT | cst.RemovalSentinel | cst.FlattenSentinel[cst.CSTNodeT]:
        """Replace an expression that has such an edit; other nodes go to the method of their kind."""
        result = super().on_leave(original_node, updated_node)
        if isinstance(original_node, cst.BaseExpression) and isinstance(result, cst.BaseExpression):
            for edit in self._edits_of(original_node, "replace-expression"):
                self.applied.add(edit)
                # mypy cannot know that any expression may replace an expression.
                return cst.parse_expression(_in_quotes_of(original_node, edit.text))  # type: ignore[return-value]
        return result

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        """Set keywords of a call, and prepend arguments."""
        for edit in self._edits_of(original_node, "set-keyword"):
            self.applied.add(edit)
            updated_node = _with_keyword(updated_node, edit.name or "", edit.text)
        for edit in self._edits_of(original_node, "rename-keyword"):
            self.applied.add(edit)
            updated_node = _with_renamed_keyword(updated_node, edit.name or "", edit.text)
        for edit in self._edits_of(original_node, "prepend-argument"):
            self.applied.add(edit)
            argument = cst.Arg(cst.parse_expression(edit.text))
            updated_node = updated_node.with_changes(args=[argument, *updated_node.args])
        return updated_node

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.Attribute:
        """Rename an attribute; what is before the dot stays as it is written."""
        for edit in self._edits_of(original_node, "rename-attribute"):
            self.applied.add(edit)
            updated_node = updated_node.with_changes(attr=cst.Name(edit.text))
        return updated_node

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom | cst.RemovalSentinel:
        """Remove names from an import, and the whole statement if no name is left."""
        edits = self._edits_of(original_node, "remove-import")
        self.applied.update(edits)
        if not edits or isinstance(updated_node.names, cst.ImportStar):
            return updated_node
        removed = {edit.name for edit in edits}
        kept = [alias for alias in updated_node.names if _local_name(alias) not in removed]
        if not kept:
            return cst.RemoveFromParent()
        return updated_node.with_changes(names=[*kept[:-1], kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)])

    def leave_Comment(self, original_node: cst.Comment, updated_node: cst.Comment) -> cst.Comment:
        """Correct comments that name the old dtype."""
        line = self.get_metadata(PositionProvider, original_node).start.line
        for edit in self._comment_edits:
            if edit.old is not None and edit.line <= line <= edit.end_line:
                # "float16" is also the end of "bfloat16", which must stay.
                value = re.sub(rf"(?<![a-z]){re.escape(edit.old)}", edit.text, updated_node.value)
                updated_node = updated_node.with_changes(value=value)
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine:
        """Add a comment behind a changed statement that has none."""
        last_line = self.get_metadata(PositionProvider, original_node).end.line
        for edit in self._comment_edits:
            if edit.kind == "add-comment" and edit.line == last_line:
                self.applied.add(edit)
                trailing = updated_node.trailing_whitespace
                if trailing.comment is None:
                    commented = trailing.with_changes(
                        whitespace=cst.SimpleWhitespace("  "), comment=cst.Comment(f"# {edit.text}")
                    )
                    updated_node = updated_node.with_changes(trailing_whitespace=commented)
        return updated_node


def _in_quotes_of(original: cst.BaseExpression, text: str) -> str:
    """Return new code; if it replaces a text by a text, with the quotes of the old one."""
    if isinstance(original, cst.SimpleString) and not original.prefix and text.startswith('"'):
        return f"{original.quote}{text.strip(chr(34))}{original.quote}"
    return text


def _local_name(alias: cst.ImportAlias) -> str:
    name = alias.asname.name if alias.asname else alias.name
    return name.value if isinstance(name, cst.Name) else ""


def _with_keyword(call: cst.Call, name: str, text: str) -> cst.Call:
    """Return a call with the keyword ``name=text``: changed where it is, or added at the end."""
    value = cst.parse_expression(text)
    for index, argument in enumerate(call.args):
        if argument.keyword is not None and argument.keyword.value == name:
            arguments = [*call.args]
            arguments[index] = argument.with_changes(value=value)
            return call.with_changes(args=arguments)
    no_spaces = cst.AssignEqual(whitespace_before=cst.SimpleWhitespace(""), whitespace_after=cst.SimpleWhitespace(""))
    return _with_last_argument(call, cst.Arg(keyword=cst.Name(name), value=value, equal=no_spaces))


def _with_renamed_keyword(call: cst.Call, old: str, new: str) -> cst.Call:
    arguments = [
        argument.with_changes(keyword=cst.Name(new))
        if argument.keyword is not None and argument.keyword.value == old
        else argument
        for argument in call.args
    ]
    return call.with_changes(args=arguments)


def _with_last_argument(call: cst.Call, added: cst.Arg) -> cst.Call:
    """Return a call with one more argument, laid out like the others."""
    if not call.args:
        return call.with_changes(args=[added])
    *firsts, last = call.args
    separator = _separator(call)
    if isinstance(last.comma, cst.Comma):
        # The call has a trailing comma, and keeps one. A comment stays with its argument.
        end = last.comma.whitespace_after
        last = last.with_changes(comma=cst.Comma(whitespace_after=_with_comment_of(separator, end)))
        added = added.with_changes(comma=cst.Comma(whitespace_after=_without_comments(end)))
    else:
        end = last.whitespace_after_arg
        last = last.with_changes(
            comma=cst.Comma(whitespace_after=_with_comment_of(separator, end)),
            whitespace_after_arg=cst.SimpleWhitespace(""),
        )
        added = added.with_changes(whitespace_after_arg=_without_comments(end))
    return call.with_changes(args=[*firsts, last, added])


def _separator(call: cst.Call) -> cst.BaseParenthesizableWhitespace:
    """Return the whitespace between two arguments of a call: a space, or a line break with its indentation."""
    commas = [argument.comma for argument in call.args[:-1] if isinstance(argument.comma, cst.Comma)]
    if commas:
        return _without_comments(commas[-1].whitespace_after)
    # With a single argument, the whitespace before it tells whether arguments are on lines of their own.
    is_broken = isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace)
    return _without_comments(call.whitespace_before_args) if is_broken else cst.SimpleWhitespace(" ")


def _without_comments(whitespace: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    if not isinstance(whitespace, cst.ParenthesizedWhitespace):
        return whitespace
    first_line = whitespace.first_line.with_changes(whitespace=cst.SimpleWhitespace(""), comment=None)
    return whitespace.with_changes(first_line=first_line, empty_lines=[])


def _with_comment_of(
    whitespace: cst.BaseParenthesizableWhitespace, commented: cst.BaseParenthesizableWhitespace
) -> cst.BaseParenthesizableWhitespace:
    """Return ``whitespace`` with the comment on the first line of ``commented``."""
    if not isinstance(commented, cst.ParenthesizedWhitespace) or commented.first_line.comment is None:
        return whitespace
    if isinstance(whitespace, cst.ParenthesizedWhitespace):
        return whitespace.with_changes(first_line=commented.first_line)
    # A comment needs a line break, which a plain space has not.
    return commented
