"""The trial of the remedy, for people."""

from collections.abc import Iterator

from vc2doctor.commands.report import RemedyTrial
from vc2doctor.report.terminal.lines import Line, labeled_line, text_line


def render(trial: RemedyTrial, precision: str) -> Iterator[Line]:
    """Yield what became of the remedy in a fresh environment."""
    changes = ", ".join(f"{name} {text}" for name, text in trial.changes.items())
    subject = f"a fresh environment with {changes}" if changes else "a fresh environment with the same versions"
    sentences = {
        "trains": f"{subject} trains under {precision} ({trial.seconds:.0f} s).",
        "fails": f"{subject} was built, and its verdict is {trial.verdict}. The remedy does not help.",
        "not built": f"{subject} could not be built.",
        "no remedy": "there is no change of versions to try.",
    }
    yield labeled_line("Remedy tried", sentences[trial.outcome])
    for error in trial.errors:
        for line in error.splitlines():
            yield text_line(line)
