"""Lists the distributions whose modules this process has imported: what the training really depends on."""

import contextlib
import sys
from importlib import metadata
from typing import List, Set

_MODULE_ENDINGS = (".py", ".so")


def distributions() -> List[str]:
    """Return the names of the installed distributions of which a module is imported now, sorted."""
    loaded = {name.partition(".")[0] for name in sys.modules}
    names: Set[str] = set()
    for found in metadata.distributions():
        # Broken metadata raises in many ways; the doctor's own reading reports it.
        with contextlib.suppress(Exception):
            if _top_level(found) & loaded:
                names.add(str(found.metadata["Name"]))
    return sorted(names)


def _top_level(found: "metadata.Distribution") -> Set[str]:
    """Return the top-level modules of a distribution, from ``top_level.txt``, else from the list of its files."""
    text = found.read_text("top_level.txt")
    if text is not None:
        return set(text.split())
    record = found.read_text("RECORD")
    if record is not None and '"' not in record:
        # An object for each of the 20,000 files takes longer than a training step.
        paths = [line.partition(",")[0] for line in record.splitlines()]
        return {path.partition("/")[0].partition(".")[0] for path in paths if path.endswith(_MODULE_ENDINGS)}
    return {file.parts[0].partition(".")[0] for file in found.files or () if file.suffix in _MODULE_ENDINGS}
