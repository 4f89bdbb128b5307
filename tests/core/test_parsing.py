"""JSON, TOML and YAML of others are parsed under budgets."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import yaml

from vc2doctor.core import parsing, yaml_parsing
from vc2doctor.core.parsing import MalformedError

ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))


def test_what_is_well_formed_is_returned() -> None:
    assert parsing.parse_json(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
    assert parsing.parse_toml('[tool.x]\n"a.b".c = 1\n') == {"tool": {"x": {"a.b": {"c": 1}}}}
    assert yaml_parsing.parse_yaml("base: &b {a: 1}\nother: {<<: *b, c: [2]}\n") == {
        "base": {"a": 1},
        "other": {"a": 1, "c": [2]},
    }
    assert yaml_parsing.parse_yaml("") is None
    assert yaml_parsing.compose_yaml("") is None


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (parsing.parse_json, "{", "Expecting property name"),
        (parsing.parse_json, "[" * 100_000, "nested too deeply"),
        (parsing.parse_json, "[" * 150 + "]" * 150, "nested more than 100 levels deep"),
        (parsing.parse_json, "1" * 5000, "4300 digits"),
        (parsing.parse_json, b"\xff", "can't decode"),
        (parsing.parse_toml, "a", "Expected"),
        (parsing.parse_toml, "a = " + "[" * 100_000, "nested too deeply"),
        (parsing.parse_toml, "a = " + "[" * 150 + "]" * 150, "nested more than 100 levels deep"),
        (parsing.parse_toml, "a = " + "1" * 5000, "4300 digits"),
        (parsing.parse_toml, "a" + ".a" * 120_000 + " = 1", "a key of more than 32 parts"),
        (parsing.parse_toml, "x = {" + "'a b' . " * 120_000 + "a = 1}", "a key of more than 32 parts"),
        (yaml_parsing.parse_yaml, "a: [", "did not find expected node content"),
        (yaml_parsing.parse_yaml, "[" * 100_000, "maximum nesting depth"),
        (yaml_parsing.parse_yaml, "[" * 150 + "]" * 150, "nested more than 100 levels deep"),
        (yaml_parsing.parse_yaml, ALIASES, "its aliases expand to more than 200,000 nodes"),
        (yaml_parsing.parse_yaml, MERGES, "its aliases expand to more than 200,000 nodes"),
        (yaml_parsing.parse_yaml, "a: &a [*a]", "an alias stands inside of what it refers to"),
        (yaml_parsing.parse_yaml, "a: !!timestamp x", "groupdict"),
        (yaml_parsing.parse_yaml, "a: !!python/object/apply:os.system [x]", "could not determine a constructor"),
        (yaml_parsing.parse_yaml, "a: " + "1" * 5000, "4300 digits"),
    ],
)
def test_what_is_malformed_or_over_a_budget_is_an_error_soon(
    parse: Callable[[str | bytes], object], text: str | bytes, reason: str
) -> None:
    start = time.process_time()
    with pytest.raises(MalformedError, match=reason):
        parse(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "text", ["!!timestamp 'x'", "!!int ''", "!!bool maybe", "!!float x", "!!binary é", "9999-99-99"]
)
def test_yaml_scalar_that_does_not_fit_its_tag_is_its_text(text: str) -> None:
    node = yaml.compose(text)
    assert isinstance(node, yaml.ScalarNode)
    assert yaml_parsing.yaml_scalar(node) == node.value


def test_yaml_scalar_has_its_type() -> None:
    node = yaml.compose("true")
    assert isinstance(node, yaml.ScalarNode)
    assert yaml_parsing.yaml_scalar(node) is True
