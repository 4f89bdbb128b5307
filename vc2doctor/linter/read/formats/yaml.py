"""Reads YAML files, with the lines of their keys."""

import re
from collections.abc import Iterator

import yaml

from vc2doctor.core import parsing, yaml_parsing
from vc2doctor.linter.read.config import MAX_DEPTH, PRECISION_WORDS, Config, ConfigEntry
from vc2doctor.linter.read.formats import FileFormat, Reading

_KEY = re.compile(r"[\w.-]+")


def read_yaml(name: str, text: str) -> Config | None:
    """Return the settings of a YAML file; ``None``: it does not mention precision, or it is not a mapping.

    A file that is not valid YAML is read line by line.
    """
    return parse_yaml(name, text) if PRECISION_WORDS.search(text) else None


def parse_yaml(name: str, text: str) -> Config | None:
    """Return the settings of a YAML file, whatever they are about; ``None``: it is not a mapping."""
    try:
        node = yaml_parsing.compose_yaml(text)
    except parsing.MalformedError:
        return Config(name, "yaml", tuple(_entries_by_line(text)))
    if not isinstance(node, yaml.MappingNode):
        return None
    return Config(name, "yaml", tuple(_entries("", node, 0)), defaults=tuple(_defaults(node)))


def _defaults(node: yaml.MappingNode) -> Iterator[str]:
    """Yield the items of Hydra's list of defaults: ``trainer/gpu`` for ``- trainer: gpu``.

    https://hydra.cc/docs/advanced/defaults_list/
    """
    for key, value in node.value:
        if key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            for item in value.value:
                if isinstance(item, yaml.ScalarNode):
                    yield item.value
                elif isinstance(item, yaml.MappingNode):
                    pairs = [(group.value, option.value) for group, option in item.value]
                    yield from (f"{group}/{option}" for group, option in pairs if isinstance(option, str))


def _entries_by_line(text: str) -> Iterator[ConfigEntry]:
    """Yield the ``key: value`` lines of a template that is not valid YAML yet (``path: "a" or "b"``)."""
    parents: list[tuple[int, str]] = []
    """The keys that the current line is nested in, each with its indentation."""
    for number, line in enumerate(text.splitlines(), 1):
        # Not one regular expression: it would take quadratic time on a value with many blanks inside.
        body = line.split(" #")[0].strip()
        key, colon, value = body.partition(":")
        if not colon or body.startswith("#") or not _KEY.fullmatch(key) or not (not value or value[0].isspace()):
            continue
        indent, value = len(line) - len(line.lstrip()), value.strip()
        parents = [parent for parent in parents if parent[0] < indent]
        if value:
            plain = {"true": True, "false": False, "null": None}.get(value.lower(), value)
            yield ConfigEntry(".".join([*(parent for _, parent in parents), key]), plain, number)
        else:
            parents.append((indent, key))


def _entries(prefix: str, node: yaml.MappingNode, depth: int) -> Iterator[ConfigEntry]:
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        dotted = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and depth < MAX_DEPTH:
            yield from _entries(f"{dotted}.", value, depth + 1)
        elif isinstance(value, yaml.ScalarNode):
            yield ConfigEntry(dotted, yaml_parsing.yaml_scalar(value), value.start_mark.line + 1)


def _read(name: str, text: str) -> Reading:
    config = read_yaml(name, text)
    return Reading(configs=(config,) if config is not None else ())


FORMAT = FileFormat(suffixes=(".yaml", ".yml"), read=_read)
