"""Edits keep the formatting of a file, and are all applied or none."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.model import Edit, EditKind, FixError


def edit_of(node: ast.expr | ast.stmt, kind: EditKind, text: str, name: str | None = None) -> Edit:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return Edit(
        path="a.py",
        line=node.lineno,
        column=node.col_offset,
        end_line=node.end_lineno,
        end_column=node.end_col_offset,
        kind=kind,
        text=text,
        name=name,
    )


def edit_of_lines(path: str, lines: tuple[int, int], kind: EditKind, text: str, old: str | None = None) -> Edit:
    return Edit(path=path, line=lines[0], column=0, end_line=lines[1], end_column=0, kind=kind, text=text, old=old)


def first_call(text: str) -> ast.Call:
    return next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def with_keyword(text: str, name: str = "b", value: str = "2") -> str:
    """Return the text with a keyword set in its first call."""
    return rewrite(text, [edit_of(first_call(text), "set-keyword", value, name)], is_python=True)


KEYWORDS = {
    "f()\n": "f(b=2)\n",
    "f(a)\n": "f(a, b=2)\n",
    "f(a=1,c=3)\n": "f(a=1,c=3,b=2)\n",
    "f(b = 1, c=3)\n": "f(b = 2, c=3)\n",
    "f(a=1,)\n": "f(a=1, b=2,)\n",
    "f(**k)\n": "f(**k, b=2)\n",
    "f(\n    a=1,\n)\n": "f(\n    a=1,\n    b=2,\n)\n",
    "f(\n    a=1,  # one\n    c=3,  # three\n)\n": "f(\n    a=1,  # one\n    c=3,  # three\n    b=2,\n)\n",
    "f(\n    a=1,  # one\n    c=3  # three\n)\n": "f(\n    a=1,  # one\n    c=3,  # three\n    b=2\n)\n",
    "f(a=1,\n  c=3)  # end\n": "f(a=1,\n  c=3,\n  b=2)  # end\n",
    "\tx = f( a )\n": "\tx = f( a, b=2 )\n",
}


@pytest.mark.parametrize(("before", "after"), KEYWORDS.items())
def test_keyword_is_set_in_the_style_of_the_call(before: str, after: str) -> None:
    if before.startswith("\t"):
        before, after = f"if y:\n{before}", f"if y:\n{after}"
    assert with_keyword(before) == after


def test_columns_are_counted_in_bytes_where_the_text_is_not_ascii() -> None:
    text = 's = "Zürich"; f("é", a)\n'
    edit = edit_of(first_call(text).args[1], "replace-expression", "b.c")
    assert rewrite(text, [edit], is_python=True) == 's = "Zürich"; f("é", b.c)\n'


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ("from m import a\nx = 1\n", ["a"], "x = 1\n"),
        ("from m import a, b, c\n", ["c"], "from m import a, b\n"),
        ("from m import a as x, b\n", ["x"], "from m import b\n"),
        ("from m import (\n    a,\n    b,\n)\n", ["a"], "from m import (\n    b,\n)\n"),
    ],
)
def test_name_is_removed_from_an_import(before: str, names: list[str], after: str) -> None:
    statement = ast.parse(before).body[0]
    edits = [edit_of(statement, "remove-import", "", name) for name in names]
    assert ast.dump(ast.parse(rewrite(before, edits, is_python=True))) == ast.dump(ast.parse(after))


def test_comments_inside_the_lines_follow_the_dtype() -> None:
    text = dedent(
        """
        # torch.float16 elsewhere
        def f(dtype):
            # torch.float16, or bfloat16 if asked
            return dtype  # float16
        """
    )
    edit = edit_of_lines("a.py", (3, 5), "replace-in-comments", "bfloat16", "float16")
    after = rewrite(text, [edit], is_python=True)
    assert "# torch.float16 elsewhere" in after
    assert "# torch.bfloat16, or bfloat16 if asked" in after
    assert "return dtype  # bfloat16" in after


def test_inserted_line_does_not_move_the_places_of_other_edits() -> None:
    text = "a: 1\x0c\nfp16: true\r\nb: 2"
    edits = [
        edit_of_lines("c.yaml", (2, 2), "replace-in-line", "bf16", "fp16"),
        edit_of_lines("c.yaml", (3, 3), "insert-line", "c: 3"),
    ]
    assert rewrite(text, edits, is_python=False) == "a: 1\x0c\nbf16: true\r\nb: 2\nc: 3\n"


def test_tree_that_would_crash_libcst_is_refused() -> None:
    text = f"x = {'(' * 100}1{')' * 100}\nf(a{' + a' * 450})\n"
    with pytest.raises(FixError, match="nested too deeply"):
        rewrite(text, [edit_of(first_call(text), "set-keyword", "1", "b")], is_python=True)


def test_edit_whose_place_is_missing_is_refused() -> None:
    statement = ast.parse("f(a)").body[0]
    with pytest.raises(FixError, match=r"a\.py:1"):
        rewrite("g = 1\n", [edit_of(statement, "replace-expression", "b")], is_python=True)


def test_tree_edit_of_a_file_that_is_not_python_is_refused() -> None:
    statement = ast.parse("f(a)").body[0]
    with pytest.raises(FixError, match="no Python"):
        rewrite("f(a)\n", [edit_of(statement, "replace-expression", "b")], is_python=False)


_NAMES = st.sampled_from(["a", "c", "d"])


@given(
    st.lists(st.tuples(_NAMES, st.sampled_from(["1", "x.y", "'s'"])), max_size=4, unique_by=lambda pair: pair[0]),
    st.sampled_from([", ", ",\n    ", ",  # comment\n    "]),
    st.sampled_from(["", ",", ",  # end"]),
)
def test_keyword_is_the_only_change_in_any_layout(keywords: list[tuple[str, str]], separator: str, ending: str) -> None:
    arguments = [f"{name}={value}" for name, value in keywords]
    text = f"f(\n    {separator.join(arguments)}{ending if keywords else ''}\n)\n"
    after = with_keyword(text)
    statement = ast.parse(after).body[0]
    assert isinstance(statement, ast.Expr)
    assert ast.unparse(statement) == f"f({', '.join([*arguments, 'b=2'])})"
    assert after.count("# ") == text.count("# ")
    assert with_keyword(after) == after


@pytest.mark.parametrize(
    ("before", "after"), [("x = 'a'\n", "x = 'b'\n"), ('x = "a"\n', 'x = "b"\n'), ("x = a\n", 'x = "b"\n')]
)
def test_replaced_text_keeps_its_quotes(before: str, after: str) -> None:
    statement = ast.parse(before).body[0]
    assert isinstance(statement, ast.Assign)
    assert rewrite(before, [edit_of(statement.value, "replace-expression", '"b"')], is_python=True) == after


def test_renamed_keyword_keeps_its_value_and_place() -> None:
    edit = edit_of(first_call("f(a=1, fp16=x, c=3)\n"), "rename-keyword", "bf16", "fp16")
    assert rewrite("f(a=1, fp16=x, c=3)\n", [edit], is_python=True) == "f(a=1, bf16=x, c=3)\n"


def test_span_over_several_lines_is_replaced_and_other_edits_keep_their_places() -> None:
    span = Edit(path="a.json", line=1, column=1, end_line=2, end_column=1, kind="replace-span", text="<>")
    later = Edit(path="a.json", line=2, column=2, end_line=2, end_column=3, kind="replace-span", text="Y")
    assert rewrite("a{\n}bc\nd\n", [span, later], is_python=False) == "a<>bY\nd\n"
