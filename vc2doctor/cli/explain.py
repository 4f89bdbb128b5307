"""``vc2doctor explain``, and its former name ``rule``."""

import re
from collections.abc import Mapping

import click

from vc2doctor.cli.output import echo
from vc2doctor.core.similar import ID_LIKENESS, MAX_SIMILAR, MIN_LIKENESS, similar

_NAME_WIDTH = 28
"""Of the list of pages: the longest id of a cause has a few characters less."""


@click.command()
@click.argument("page", metavar="[ID]", required=False)
def explain(page: str | None) -> None:
    """Print the page of a check, a lint rule or a cause: `explain VC005`, `explain forward-overflow`.

    Without an ID, list all pages, each with its first sentence.
    """
    from vc2doctor.commands.pages import pages  # noqa: PLC0415 - `--help` needs none of it

    known_pages = pages()
    if page is None:
        echo("\n".join(f"{name:<{_NAME_WIDTH}} {text.partition(chr(10))[0]}" for name, text in known_pages.items()))
        return
    # Ids of checks and rules are upper case, those of causes are lower case.
    text = known_pages.get(page.upper()) or known_pages.get(page.lower())
    if text is None:
        likeness = ID_LIKENESS if page.upper().startswith("VC") else MIN_LIKENESS
        near = similar(page, known_pages, likeness=likeness) or _about(page, known_pages)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        message = f"there is no check, rule or cause {page!r}.{hint} `vc2doctor explain` without a name lists all."
        raise click.BadParameter(message)
    echo(text)


def _about(word: str, known_pages: Mapping[str, str]) -> list[str]:
    """Return the pages that have a word most often, in the singular or in the plural; at least twice."""
    stem = re.escape(word.lower().rstrip("s"))
    if not stem:
        return []
    numbers = {name: len(re.findall(rf"\b{stem}s?\b", text.lower())) for name, text in known_pages.items()}
    often = sorted((name for name, number in numbers.items() if number > 1), key=lambda name: -numbers[name])
    return often[:MAX_SIMILAR]


@click.command(hidden=True)
@click.argument("page", metavar="ID")
@click.pass_context
def rule(context: click.Context, page: str) -> None:
    """Print a page, as `explain` does."""
    context.invoke(explain, page=page)
