"""Parse YAML that others wrote, under budgets: depth, digits, and what aliases expand to.

This is a separate module because PyYAML is slow to import, and a check without code does not need it.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from vc2doctor.core.parsing import MAX_DEPTH, MalformedError, reason_of

MAX_YAML_NODES = 200_000
"""Nodes of a YAML file after each alias was replaced by what it stands for."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTION_ERRORS = (
    *(yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError),
)
"""What PyYAML raises for values that do not fit their tags: ``!!timestamp x``, ``!!int ""``, ``!!bool maybe``."""


def compose_yaml(text: str) -> yaml.Node | None:
    """Return the tree of the only document of a YAML text, with the lines of its nodes; ``None``: it is empty.

    Raises:
        MalformedError: it is not YAML, is nested too deeply, or its aliases expand to too many nodes.
    """
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MalformedError(reason_of(error)) from error
    if node is not None:
        _check_expansion(node)
    return node


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of the only document of a YAML text, without tags that name Python objects.

    Raises:
        MalformedError: it is not YAML, exceeds a budget, or a value does not fit its tag.
    """
    node = compose_yaml(text)
    try:
        return yaml.SafeLoader("").construct_document(node) if node is not None else None
    except _CONSTRUCTION_ERRORS as error:
        raise MalformedError(reason_of(error)) from error


def yaml_scalar(node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - as the file has it
    """Return the value of a YAML scalar; its text, if the value does not fit its tag."""
    try:
        return yaml.SafeLoader("").construct_object(node)
    except _CONSTRUCTION_ERRORS:
        return node.value


def _check_expansion(root: yaml.Node) -> None:
    """Check how many nodes a tree has after each alias was replaced, and how deep it is.

    An alias is the same object in several places. The size of each object is computed once, after those of its
    children, so the time is linear in the text even if the expanded tree has 2 ** 100 nodes.
    """
    sizes: dict[int, int] = {}
    depths: dict[int, int] = {}
    waiting = [(root, False)]
    open_nodes: set[int] = set()
    while waiting:
        node, is_complete = waiting.pop()
        key = id(node)
        if is_complete:
            open_nodes.discard(key)
            children = [id(child) for child in _children(node)]
            sizes[key] = 1 + sum(sizes[child] for child in children)
            depths[key] = 1 + max((depths[child] for child in children), default=0)
        elif key in open_nodes:
            message = "an alias stands inside of what it refers to"
            raise MalformedError(message)
        elif key not in sizes:
            if isinstance(node, yaml.ScalarNode):
                sizes[key], depths[key] = 1, 0
                continue
            open_nodes.add(key)
            waiting.append((node, True))
            waiting.extend((child, False) for child in _children(node))
    if sizes[id(root)] > MAX_YAML_NODES:
        message = f"its aliases expand to more than {MAX_YAML_NODES:,} nodes"
        raise MalformedError(message)
    if depths[id(root)] > MAX_DEPTH:
        message = f"it is nested more than {MAX_DEPTH} levels deep"
        raise MalformedError(message)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
