"""``vc2doctor explain``, and its former name ``rule``."""

import click

from vc2doctor.cli.output import echo


@click.command()
@click.argument("page", metavar="ID")
def explain(page: str) -> None:
    """Print the page of a check, a lint rule or a cause: `explain VC005`, `explain forward-overflow`."""
    from vc2doctor.commands.pages import pages  # noqa: PLC0415 - `--help` needs none of it

    known_pages = pages()
    # Ids of checks and rules are upper case, those of causes are lower case.
    text = known_pages.get(page.upper()) or known_pages.get(page.lower())
    if text is None:
        message = f"there is no check, rule or cause {page!r}; there are {', '.join(known_pages)}"
        raise click.BadParameter(message)
    echo(text)


@click.command(hidden=True)
@click.argument("page", metavar="ID")
@click.pass_context
def rule(context: click.Context, page: str) -> None:
    """Print a page, as `explain` does."""
    context.invoke(explain, page=page)
