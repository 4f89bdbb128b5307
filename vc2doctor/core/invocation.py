"""How the doctor was started, and the commands that start it again."""

from pydantic import Field

from vc2doctor.core import shell
from vc2doctor.core.data import OwnData

Option = tuple[str, str | None]
"""The name of an option and its value; a flag has no value."""
BF16_PATCH: tuple[Option, ...] = (("--precision", "bf16"), ("--fix", None), ("--diff", None))
"""Options of ``lint`` that show the whole switch to bfloat16 as a patch."""
SETTINGS_OPTIONS = ("--config", "--trust-settings", "--isolated")
"""The options that choose the settings file; every verb that reads one has them."""


class Invocation(OwnData):
    """How the doctor was started: every command that it prints about itself is built from this."""

    program: tuple[str, ...] = Field(default=("vc2doctor",), min_length=1)
    """The words before the verb: ``vc2doctor``, ``python -m vc2doctor``, ``uvx vc2doctor``."""
    verb: str = "check"
    options: tuple[Option, ...] = ()
    """The options that the user passed, without those that only choose how the report is shown."""

    def has(self, name: str) -> bool:
        """Return whether the option was passed."""
        return any(passed == name for passed, _ in self.options)

    def again(self, *options: Option, without: tuple[str, ...] = (), arguments: tuple[str, ...] = ()) -> str:
        """Return the command that runs the doctor again with the same options, as text for a shell.

        ``options`` replace options of the same name, or are added. ``without`` names options to leave out.
        ``arguments`` are the words after the options.
        """
        replaced = {*without, *(name for name, _ in options)}
        kept = [option for option in self.options if option[0] not in replaced]
        words = [word for option in (*kept, *options) for word in _words(option)]
        if any(argument.startswith("-") for argument in arguments):
            words.append("--")
        return shell.join([*self.program, self.verb, *words, *arguments])

    def other(self, verb: str, *options: Option, arguments: tuple[str, ...] = ()) -> str:
        """Return the command that runs another verb with these options, and reads the same settings file."""
        kept = tuple(option for option in self.options if option[0] in SETTINGS_OPTIONS)
        return Invocation(program=self.program, verb=verb, options=kept).again(*options, arguments=arguments)


def _words(option: Option) -> tuple[str, ...]:
    name, value = option
    if value is None:
        return (name,)
    # A value with a hyphen at its start would be read as an option of its own.
    return (f"{name}={value}",) if value.startswith("-") else (name, value)
