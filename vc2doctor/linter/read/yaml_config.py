"""Settings of a YAML file, with the lines of its keys."""

import re
from collections.abc import Iterator

import yaml

from vc2doctor.linter.read.config import MAX_DEPTH, PRECISION_WORDS, Config, ConfigEntry

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def of_yaml(name: str, text: str) -> Config | None:
    """Return the settings of a YAML file; ``None``: it says nothing of precision, is no mapping, or cannot be read."""
    if PRECISION_WORDS.search(text) is None:
        return None
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError):
        return Config(name, "yaml", tuple(_by_lines(text)))
    if not isinstance(node, yaml.MappingNode):
        return None
    return Config(name, "yaml", tuple(_yaml_entries("", node, 0)))


def _by_lines(text: str) -> Iterator[ConfigEntry]:
    """Yield the plain ``key: value`` lines of a template that is no YAML yet (``path: "a" or "b"``)."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = re.fullmatch(r"(\s*)([\w.-]+):(?:\s+(.*?))?\s*", line.split(" #")[0])
        if found is None or line.lstrip().startswith("#"):
            continue
        indent = len(found.group(1))
        above = [(depth, key) for depth, key in above if depth < indent]
        value = found.group(3)
        if value:
            plain = {"true": True, "false": False, "null": None}.get(value.lower(), value)
            yield ConfigEntry(".".join([*(key for _, key in above), found.group(2)]), plain, number)
        else:
            above.append((indent, found.group(2)))


def _yaml_entries(prefix: str, node: yaml.MappingNode, depth: int) -> Iterator[ConfigEntry]:
    loader = yaml.SafeLoader("")
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        dotted = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and depth < MAX_DEPTH:
            yield from _yaml_entries(f"{dotted}.", value, depth + 1)
        elif isinstance(value, yaml.ScalarNode):
            try:
                plain = loader.construct_object(value)
            except (yaml.YAMLError, ValueError):
                plain = value.value
            yield ConfigEntry(dotted, plain, value.start_mark.line + 1)
