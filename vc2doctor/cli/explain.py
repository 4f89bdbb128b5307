"""``vc2doctor explain``, and its old name for rules."""

import click


@click.command()
@click.argument("page", metavar="ID")
def explain(page: str) -> None:
    """Print the page of a check, a lint rule or a cause: `explain VC005`, `explain forward-overflow`."""
    from vc2doctor.commands.pages import pages  # noqa: PLC0415 - `--help` needs none of it

    known = pages()
    text = known.get(page.upper()) or known.get(page.lower())
    if text is None:
        message = f"there is no check, rule or cause {page!r}; there are {', '.join(known)}"
        raise click.BadParameter(message)
    click.echo(text)


@click.command(hidden=True)
@click.argument("page", metavar="ID")
@click.pass_context
def rule(context: click.Context, page: str) -> None:
    """Print a page, as `explain` does."""
    context.invoke(explain, page=page)
