"""The options that lead to a request, as a user would pass them: pure functions of the request."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from vc2doctor.commands.request import ExaminationRequest
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import Invocation, Option


def settings_options(source: SettingsSource) -> Iterator[Option]:
    """Yield the options that choose this settings file."""
    if source.config is not None:
        yield "--config", str(source.config)
    if source.trust:
        yield "--trust-settings", None
    if source.isolated:
        yield "--isolated", None


_OTHER_SPELLINGS: Mapping[str, Callable[[Any], Iterator[Option]]] = {
    "probe": lambda probe: iter([("--probe" if probe else "--no-probe", None)]),
    "require_gpu": lambda _: iter([("--require", "gpu")]),
    "checkpoint": lambda path: iter([("--model", str(path))]),
    "texts": lambda texts: (("--text", text) for text in texts),
    "doors": lambda names: (("--door", name) for name in names),
    "compiled": lambda _: iter([("--compile", None)]),
    "attention": lambda names: iter([("--attention", ",".join(names))]),
    "recipes": lambda names: iter([("--recipes", ",".join(names))]),
    "settings_source": settings_options,
}
"""Field of a request → its options, where name or value differ on the command line. For all others the field
``fail_on`` is the option ``--fail-on``, a true field is a flag, and a tuple is an option that is repeated."""
_NO_OPTIONS = ("settings", "invocation", "policy", "stack_map", "update_baseline", "target")
"""Fields that no option sets, that the format of the report sets, or whose option is not repeated: a command that is
run again writes no baseline."""


def options_of(request: ExaminationRequest) -> tuple[Option, ...]:
    """Return the options of ``request`` that differ from their defaults, in the order of its fields."""
    fields = type(request).model_fields
    return tuple(
        option
        for name, field in fields.items()
        if name not in _NO_OPTIONS and getattr(request, name) != field.get_default()
        for option in _options(name, getattr(request, name))
    )


def invocation_of(request: ExaminationRequest, program: tuple[str, ...] = ("vc2doctor",)) -> Invocation:
    """Return the invocation that leads to ``request``; ``program`` are the words before the verb."""
    return Invocation(program=program, verb=request.verb, options=options_of(request))


def _options(field: str, value: Any) -> Iterator[Option]:  # noqa: ANN401 - the value of any field
    if field in _OTHER_SPELLINGS:
        yield from _OTHER_SPELLINGS[field](value)
        return
    name = f"--{field.replace('_', '-')}"
    if value is True:
        yield name, None
        return
    for single in value if isinstance(value, tuple) else (value,):
        yield name, str(single.value) if isinstance(single, Enum) else _text(single)


def _text(value: Any) -> str:  # noqa: ANN401 - a path, a number or a text
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
