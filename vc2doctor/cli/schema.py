"""``vc2doctor schema``."""

import json

import click

from vc2doctor.cli.output import echo


@click.command()
@click.argument("kind", type=click.Choice(["profile", "known_issue", "evidence", "report", "lint"]))
def schema(kind: str) -> None:
    """Print the JSON Schema of a matrix file (profile, known_issue, evidence) or of a JSON report (report, lint)."""
    from vc2doctor.report.schema import schema as schema_of  # noqa: PLC0415 - `--help` needs none of it

    echo(json.dumps(schema_of(kind), indent=2, ensure_ascii=False))
