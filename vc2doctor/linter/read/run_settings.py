"""What a run asks for: one small model that every launcher, configuration file and trainer is read into."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from vc2doctor.linter.read.config import Config, Flag, Launch, Unknown

Precision = Literal["fp16", "bf16", "fp8", "no"]
"""What a run computes in; ``no``: float32."""
DtypeName = Literal["float16", "bfloat16", "float32"]
HALF: tuple[Precision, ...] = ("fp16", "bf16")

Value = TypeVar("Value")
Other = TypeVar("Other")

_PRECISIONS: Mapping[str, Precision] = {
    **dict.fromkeys(("fp16", "float16", "half", "16", "16-mixed", "16-true", "torch.float16", "torch.half"), "fp16"),
    **dict.fromkeys(("bf16", "bfloat16", "bf16-mixed", "bf16-true", "torch.bfloat16"), "bf16"),
    **dict.fromkeys(("fp8", "transformer-engine", "transformer-engine-float16"), "fp8"),
    **dict.fromkeys(("no", "32", "32-true", "64", "64-true", "float32", "fp32", "torch.float32"), "no"),
}
_DTYPES: Mapping[Precision, DtypeName] = {"fp16": "float16", "bf16": "bfloat16", "no": "float32"}


@dataclass(frozen=True, slots=True)
class Setting(Generic[Value]):
    """A value, and where it is set."""

    value: Value
    path: str
    line: int
    text: str
    """How it is written: ``--fp16 True``, ``bf16: true``."""

    @property
    def place(self) -> str:
        """Its place and text, as evidence: ``run.sh:4 --fp16 True``."""
        return f"{self.path}:{self.line} {self.text}"

    def meaning(self, value: "Other") -> "Setting[Other]":
        """Return the same setting with what it means as its value."""
        return Setting(value, self.path, self.line, self.text)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What one file or command asks for. A field is ``None`` where nothing is said, or where only a run can tell."""

    launcher: str
    """Who reads the settings: ``accelerate``, ``transformers``, ``axolotl``."""
    path: str
    precisions: tuple[Setting[Precision], ...] = ()
    """The precisions that are asked for. Two different ones contradict each other."""
    pure: Setting[Precision] | None = None
    """The half precision that the parameters themselves are trained in, without autocast."""
    weights: Setting[DtypeName] | None = None
    """The dtype that the weights are loaded in."""
    quantization: Setting[str] | None = None
    """How the base model is quantized: ``4bit``, ``gptq``."""
    quantized_compute: Setting[DtypeName] | None = None
    """The dtype that a quantized base computes in."""
    clipping: Setting[float] | None = None
    """The largest norm of the gradients, as it is given."""
    engine: Setting[str] | None = None
    """The path of DeepSpeed's file, as it is given."""
    models: tuple[Setting[str], ...] = ()
    """The names or paths of the models."""
    is_call: bool = False
    """Whether a call in code gives them, rather than a file or a command."""
    unknown: frozenset[str] = frozenset()
    """The settings that are given, with values that only a run can tell."""

    @property
    def precision(self) -> Precision | None:
        """The precision, if one is asked for and no other one."""
        values = {setting.value for setting in self.precisions}
        return values.pop() if len(values) == 1 else None

    def asking_for(self, precision: Precision) -> Setting[Precision] | None:
        """Return where a precision is asked for, or ``None``."""
        return next((setting for setting in self.precisions if setting.value == precision), None)


class Keys:
    """The settings of a configuration or a command by name, with readers for each type of value.

    Names are those of a configuration's keys (``trainer.precision``) or of a command's flags without their dashes.
    """

    def __init__(
        self,
        path: str,
        values: Mapping[str, tuple[object, int]],
        *,
        is_command: bool,
        composed_from: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self._values = values
        self._is_command = is_command
        self._composed_from = composed_from or {}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def has_any(self, *names: str) -> bool:
        """Return whether one of the names is set."""
        return any(name in self for name in names)

    def _setting(self, name: str, value: Value) -> Setting[Value]:
        raw, line = self._values[name]
        shown = "" if raw is None else f" {raw}"
        text = f"--{name}{shown}" if self._is_command else f"{name}:{shown}"
        return Setting(value, self._composed_from.get(name, self.path), line, text)

    def _known(self, *names: str) -> Iterator[tuple[str, object]]:
        """Yield the names that are set to a value that can be read."""
        for name in names:
            value = self._values[name][0] if name in self else None
            if name in self and not isinstance(value, Unknown) and not (isinstance(value, str) and "$" in value):
                yield name, value

    def unknown(self, *names: str) -> frozenset[str]:
        """Return the names that are set to a value that only a run can tell."""
        known = {name for name, _ in self._known(*names)}
        return frozenset(name for name in names if name in self and name not in known)

    def switch(self, name: str) -> Setting[bool] | None:
        """Return a boolean setting; a flag without a value is on."""
        for _, value in self._known(name):
            text = str(value).lower()
            if self._is_command and value is None:
                return self._setting(name, value=True)
            if text in ("true", "1", "yes", "y", "t", "on"):
                return self._setting(name, value=True)
            if text in ("false", "0", "no", "n", "f", "off"):
                return self._setting(name, value=False)
        return None

    def number(self, *names: str) -> Setting[float] | None:
        """Return the first of some settings that is a number."""
        for name, value in self._known(*names):
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                try:
                    return self._setting(name, float(value))
                except ValueError:
                    continue
        return None

    def text(self, *names: str) -> Setting[str] | None:
        """Return the first of some settings that is a text."""
        return next(
            (self._setting(name, value) for name, value in self._known(*names) if isinstance(value, str) and value),
            None,
        )

    def precision(self, name: str) -> Setting[Precision] | None:
        """Return a setting that names a precision (``bf16-mixed``, 16)."""
        for _, value in self._known(name):
            precision = _PRECISIONS.get(str(value).lower())
            if precision is not None:
                return self._setting(name, precision)
        return None

    def dtype(self, *names: str) -> Setting[DtypeName] | None:
        """Return the first of some settings that names a dtype of torch."""
        for name in names:
            precision = self.precision(name)
            if precision is not None and precision.value in _DTYPES:
                return self._setting(name, _DTYPES[precision.value])
        return None


def keys_of_config(config: Config, below: str = "") -> Keys:
    """Return the keys of a configuration; with ``below`` those below a key, without it in their names."""
    prefix = f"{below}." if below else ""
    values = {
        entry.key.removeprefix(prefix): (entry.value, entry.line)
        for entry in config.entries
        if entry.key.startswith(prefix)
    }
    composed = ((entry.key.removeprefix(prefix), entry.composed_from) for entry in config.entries)
    composed_from = {key: path for key, path in composed if path is not None}
    return Keys(config.name, values, is_command=False, composed_from=composed_from)


def keys_of_flags(launch: Launch, flags: Mapping[str, Flag]) -> Keys:
    """Return the flags of a command."""
    values: dict[str, tuple[object, int]] = {
        name.removeprefix("--"): (flag.value, flag.line) for name, flag in flags.items()
    }
    return Keys(launch.script, values, is_command=True)


def switched_on(keys: Keys, *pairs: tuple[str, Precision]) -> tuple[Setting[Precision], ...]:
    """Return the precisions whose own switches are on: ``("fp16", "fp16")``."""
    switches = [(keys.switch(name), precision) for name, precision in pairs]
    return tuple(switch.meaning(precision) for switch, precision in switches if switch is not None and switch.value)


def only(*settings: Setting[Value] | None) -> tuple[Setting[Value], ...]:
    """Return the settings that are given."""
    return tuple(setting for setting in settings if setting is not None)
