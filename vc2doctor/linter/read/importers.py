"""Files that belong to training code, although they do not mention precision and no such code imports them.

A program that builds the model in one file and hands it to a loop in another one says what the loop trains.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from vc2doctor.linter.read.module import Module

_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^()]*|[\w \t,]*)|import[ \t]+([\w. \t,]+))", re.MULTILINE
)
_REGISTERS = re.compile(rb"^@[\w.]*register", re.MULTILINE | re.IGNORECASE)
"""A decorator that puts a class into a registry: ``@register()``, ``@MODELS.register_module()``."""
_TRAINS = re.compile(r"\.backward\(|autocast|training_step|\w*Trainer\b")
"""What code that trains has in its text."""
MAX_IMPORTERS = 200
"""Files that are read for this reason. The limit bounds the time on a large project."""


def importers_of(modules: Iterable[Module], candidates: Mapping[str, bytes]) -> list[str]:
    """Return the files among some that import a module which trains."""
    trained = [f"/{module.name}" for module in modules if _TRAINS.search(module.source.text)]
    found = (name for name, data in candidates.items() if _imports_one(data, trained))
    return [name for name, _ in zip(found, range(MAX_IMPORTERS), strict=False)]


def registered_beside(modules: Iterable[Module], candidates: Mapping[str, bytes]) -> list[str]:
    """Return the files among some that put classes with tensors into a registry, beside a module that was read.

    A registry hands such a class to code that never imports it.
    """
    folders = {module.name.rpartition("/")[0] for module in modules}
    return [
        name
        for name, data in candidates.items()
        if name.rpartition("/")[0] in folders and b"torch" in data and _REGISTERS.search(data) is not None
    ]


def _imports_one(data: bytes, trained: list[str]) -> bool:
    endings = tuple(f"/{dotted.strip('.').replace('.', '/')}.py" for dotted in _dotted_names(data))
    return bool(endings) and any(name.endswith(endings) for name in trained)


def _dotted_names(data: bytes) -> Iterator[str]:
    """Yield what the import statements of a file can mean: a module, or a name in it that is a module, too."""
    for package, names, modules in _IMPORT.findall(data):
        text = (names or modules).decode("ascii", "replace").lstrip("(")
        for part in (part.split() for part in text.split(",")):
            if part:
                yield f"{package.decode('ascii', 'replace')}.{part[0]}" if package else part[0]
        if package.strip(b"."):
            yield package.decode("ascii", "replace")
