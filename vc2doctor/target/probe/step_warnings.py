"""Records the warnings that are raised while the user's model is built and trained, with their places."""

import contextlib
import warnings
from typing import Any, Callable, Dict, Iterator, List, Optional

MAX_WARNINGS = 20
"""Different warnings of a training that are kept."""
MAX_TEXT = 500
"""Characters of a warning that are kept."""


class WarningLog:
    """The different warnings of one training, each with the number of times that it was raised."""

    def __init__(self, find_place: Callable[[], Dict[str, Any]]) -> None:
        self.records: List[Dict[str, Any]] = []
        self._find_place = find_place
        self._by_key: Dict[Any, Dict[str, Any]] = {}

    def add(self, message: Any, category: Any, line: int) -> None:
        """Count a warning, and keep it if it is new."""
        text = str(message)[:MAX_TEXT]
        key = (category.__name__, text, line)
        if key in self._by_key:
            self._by_key[key]["count"] += 1
        elif len(self.records) < MAX_WARNINGS:
            record = {"category": category.__name__, "message": text, "count": 1, **self._find_place()}
            self._by_key[key] = record
            self.records.append(record)


@contextlib.contextmanager
def recorded(find_place: Callable[[], Dict[str, Any]]) -> Iterator[WarningLog]:
    """Record all warnings in this region, those that were shown before included. None of them is printed.

    Filters that turn warnings into errors stay: the user's training would end with them.
    """
    log = WarningLog(find_place)

    def show(  # noqa: PLR0913, PLR0917 - the signature of warnings.showwarning
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Optional[str] = None
    ) -> None:
        del filename, file, line
        log.add(message, category, lineno)

    with warnings.catch_warnings():
        filters: Any = warnings.filters
        errors = [each for each in filters if each[0] == "error"]
        warnings.simplefilter("always")
        # The list itself: `catch_warnings` made a copy of it, and `simplefilter` added to that.
        filters = warnings.filters
        filters[:0] = errors
        warnings.showwarning = show
        yield log
