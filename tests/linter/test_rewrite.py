"""Edits of a file keep its formatting, and every edit is made or the file is left."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vc2doctor.linter.fix.rewrite import rewrite
from vc2doctor.linter.model import Edit, FixError


def edit_of(node: ast.expr | ast.stmt, kind: str, new: str, name: str | None = None) -> Edit:
    return Edit.model_validate(
        {
            "path": "a.py",
            "line": node.lineno,
            "column": node.col_offset,
            "end_line": node.end_lineno,
            "end_column": node.end_col_offset,
            "kind": kind,
            "text": new,
            "name": name,
        }
    )


def with_keyword(text: str, name: str = "b", value: str = "2") -> str:
    call = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return rewrite(text, [edit_of(call, "keyword", value, name)], python=True)


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
def test_a_keyword_is_given_in_the_style_of_the_call(before: str, after: str) -> None:
    if before.startswith("\t"):
        before, after = f"if y:\n{before}", f"if y:\n{after}"
    assert with_keyword(before) == after


def test_columns_are_counted_in_bytes_where_the_text_is_not_ascii() -> None:
    text = 's = "Zürich"; f("é", a)\n'
    call = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert rewrite(text, [edit_of(call.args[1], "replace", "b.c")], python=True) == 's = "Zürich"; f("é", b.c)\n'


@pytest.mark.parametrize(
    ("before", "names", "after"),
    [
        ("from m import a\nx = 1\n", ["a"], "x = 1\n"),
        ("from m import a, b, c\n", ["c"], "from m import a, b\n"),
        ("from m import a as x, b\n", ["x"], "from m import b\n"),
        ("from m import (\n    a,\n    b,\n)\n", ["a"], "from m import (\n    b,\n)\n"),
    ],
)
def test_a_name_leaves_an_import(before: str, names: list[str], after: str) -> None:
    statement = ast.parse(before).body[0]
    edits = [edit_of(statement, "unimport", "", name) for name in names]
    assert ast.dump(ast.parse(rewrite(before, edits, python=True))) == ast.dump(ast.parse(after))


def test_comments_of_a_function_follow_its_dtype() -> None:
    text = dedent(
        """
        # torch.float16 elsewhere
        def f(dtype):
            # torch.float16, or bfloat16 if asked
            return dtype  # float16
        """
    )
    edit = Edit(
        path="a.py", line=3, column=0, end_line=5, end_column=0, kind="recomment", text="bfloat16", name="float16"
    )
    after = rewrite(text, [edit], python=True)
    assert "# torch.float16 elsewhere" in after
    assert "# torch.bfloat16, or bfloat16 if asked" in after
    assert "return dtype  # bfloat16" in after


def test_lines_of_a_configuration_are_changed_from_below() -> None:
    text = "a: 1\x0c\nfp16: true\r\nb: 2"
    edits = [
        Edit(path="c.yaml", line=2, column=0, end_line=2, end_column=0, kind="line", text="bf16", name="fp16"),
        Edit(path="c.yaml", line=3, column=0, end_line=3, end_column=0, kind="after", text="c: 3"),
    ]
    assert rewrite(text, edits, python=False) == "a: 1\x0c\nbf16: true\r\nb: 2\nc: 3\n"


def test_what_would_end_libcst_is_not_given_to_it() -> None:
    text = f"x = {'(' * 100}1{')' * 100}\nf(a{' + a' * 450})\n"
    call = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    with pytest.raises(FixError, match="nested too deeply"):
        rewrite(text, [edit_of(call, "keyword", "1", "b")], python=True)


def test_an_edit_whose_place_is_gone_leaves_the_file() -> None:
    call = ast.parse("f(a)").body[0]
    with pytest.raises(FixError, match=r"a\.py:1"):
        rewrite("g = 1\n", [edit_of(call, "replace", "b")], python=True)


def test_what_is_no_python_is_not_edited_as_such() -> None:
    call = ast.parse("f(a)").body[0]
    with pytest.raises(FixError, match="no Python"):
        rewrite("f(a)\n", [edit_of(call, "replace", "b")], python=False)


_NAMES = st.sampled_from(["a", "c", "d"])


@given(
    st.lists(st.tuples(_NAMES, st.sampled_from(["1", "x.y", "'s'"])), max_size=4, unique_by=lambda pair: pair[0]),
    st.sampled_from([", ", ",\n    ", ",  # said\n    "]),
    st.sampled_from(["", ",", ",  # end"]),
)
def test_whatever_the_layout_the_call_gets_just_the_keyword(
    given_: list[tuple[str, str]], joint: str, ending: str
) -> None:
    inner = joint.join(f"{name}={value}" for name, value in given_) + (ending if given_ else "")
    text = f"f(\n    {inner}\n)\n"
    after = with_keyword(text)
    call = ast.parse(after).body[0]
    assert isinstance(call, ast.Expr)
    assert ast.unparse(call) == "f({})".format(", ".join([*(f"{name}={value}" for name, value in given_), "b=2"]))
    assert after.count("# ") == text.count("# ")
    assert with_keyword(after) == after
