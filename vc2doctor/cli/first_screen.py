"""The first screen: what ``vc2doctor`` without arguments and ``--help`` show, and how groups list their commands."""

import contextlib
from collections.abc import Iterator
from typing import Any

import click

TASKS = {
    "Before a training run": ("check", "gate", "init"),
    "The loss is NaN, or does not fall": ("probe", "lint", "headroom"),
    "Which versions": ("needs", "matrix"),
    "Reference": ("explain", "schema", "measure"),
}
"""The verbs by task. A verb that stands in no task is listed at the end."""
OTHERS = "Other commands"
EXAMPLES = (
    ("vc2doctor check --python .venv", "will this environment train, and if not, what fixes it?"),
    ("vc2doctor lint --precision bf16 --fix --diff .", "the whole change of this code to bfloat16, as a patch"),
    ("vc2doctor gate -- torchrun train.py", "run this only if its environment and its code are fit"),
)
_MAX_SUMMARY = 1000
"""Characters of a summary: more than any has, because click cuts what is longer."""


@contextlib.contextmanager
def _aborting() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise click.Abort from None


class Group(click.Group):
    """A group that shows the whole summary of each command, and raises ``Abort`` for Ctrl-C by itself."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run the command.

        Raises:
            Abort: the user interrupted it. click would print an empty line first.
        """
        with _aborting():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names, and the other words.

        Raises:
            UsageError: there is no such command; the message names the one that is spelled nearly so.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            from vc2doctor.core.similar import did_you_mean  # noqa: PLC0415 - only a mistake needs it

            message = f"there is no command {args[0]!r}.{did_you_mean(args[0], self.list_commands(ctx))}"
            raise click.UsageError(message, ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # noqa: ANN401 - as click has it
        """Parse the options of the group.

        Raises:
            Abort: the user interrupted it.
        """
        with _aborting():
            return super().make_context(*args, **extra)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with the whole first sentence of its help."""
        for title, names in self.tasks(ctx).items():
            with formatter.section(title):
                formatter.write_dl([(name, self.summary(ctx, name)) for name in names])

    def tasks(self, ctx: click.Context) -> dict[str, list[str]]:
        """Return the names of the commands that are not hidden, by the title of their section."""
        return {"Commands": self._visible(ctx)}

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of the help of a command."""
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(_MAX_SUMMARY)

    def _visible(self, ctx: click.Context) -> list[str]:
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return [name for name, command in commands if command is not None and not command.hidden]


class FirstScreen(Group):
    """The group of all verbs, listed by task, with examples at the end."""

    def tasks(self, ctx: click.Context) -> dict[str, list[str]]:
        """Return the names of the verbs by task."""
        visible = self._visible(ctx)
        listed = {title: [name for name in names if name in visible] for title, names in TASKS.items()}
        known = {name for names in listed.values() for name in names}
        others = {OTHERS: [name for name in visible if name not in known]}
        return {title: names for title, names in {**listed, **others}.items() if names}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own call
        """Write the examples."""
        with formatter.section("Examples"):
            for command, description in EXAMPLES:
                formatter.write_text(f"# {description}")
                formatter.write(f"{'':>{formatter.current_indent}}{command}\n")
