"""Reads YAML files, with the lines of their keys."""

import re
from collections.abc import Iterator

import yaml

from vc2doctor.linter.read.config import MAX_DEPTH, PRECISION_WORDS, Config, ConfigEntry
from vc2doctor.linter.read.formats import FileFormat, Reading

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(name: str, text: str) -> Config | None:
    """Return the settings of a YAML file; ``None``: it does not mention precision, or it is not a mapping.

    A file that is not valid YAML is read line by line.
    """
    return parse_yaml(name, text) if PRECISION_WORDS.search(text) else None


def parse_yaml(name: str, text: str) -> Config | None:
    """Return the settings of a YAML file, whatever they are about; ``None``: it is not a mapping."""
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, RecursionError, ValueError):
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
        match = re.fullmatch(r"(\s*)([\w.-]+):(?:\s+(.*?))?\s*", line.split(" #")[0])
        if match is None or line.lstrip().startswith("#"):
            continue
        indent, key, value = len(match.group(1)), match.group(2), match.group(3)
        parents = [parent for parent in parents if parent[0] < indent]
        if value:
            plain = {"true": True, "false": False, "null": None}.get(value.lower(), value)
            yield ConfigEntry(".".join([*(parent for _, parent in parents), key]), plain, number)
        else:
            parents.append((indent, key))


def _entries(prefix: str, node: yaml.MappingNode, depth: int) -> Iterator[ConfigEntry]:
    loader = yaml.SafeLoader("")
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        dotted = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and depth < MAX_DEPTH:
            yield from _entries(f"{dotted}.", value, depth + 1)
        elif isinstance(value, yaml.ScalarNode):
            try:
                plain = loader.construct_object(value)
            except (yaml.YAMLError, ValueError):
                plain = value.value
            yield ConfigEntry(dotted, plain, value.start_mark.line + 1)


def _read(name: str, text: str) -> Reading:
    config = read_yaml(name, text)
    return Reading(configs=(config,) if config is not None else ())


FORMAT = FileFormat(suffixes=(".yaml", ".yml"), read=_read)
