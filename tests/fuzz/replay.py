"""``python -m tests.fuzz.replay PARSER FOLDER``: give every file of a folder to a parser once, to measure coverage."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fuzz.parsers import PARSERS, outcome


def main() -> None:
    """Give each input its own empty folder; a fault does not stop the others."""
    name, corpus = sys.argv[1:]
    for path in sorted(Path(corpus).iterdir()):
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome(PARSERS[name], path.read_bytes(), Path(folder))
            except Exception as error:  # noqa: BLE001 - the search reports it
                print(f"{path}: {type(error).__name__}")


if __name__ == "__main__":
    main()
