"""Says from where the target interpreter imports, without importing anything. vc2doctor runs this file by path.

It is a small part of ``describe_environment.py``, and quick: with it the doctor finds out whether an environment is
still the one that it has examined before. Standard library only, Python 3.8 and newer. The first two arguments are file
descriptors, as there. The others are the names of modules to look for.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
"""Type checkers take it for true. ``typing``, which has the real one, is slow to import."""
if TYPE_CHECKING:
    from typing import Any, List, Optional


def main(descriptor: int, secret: int, modules: List[str]) -> None:
    """Write the facts to ``descriptor``, with the secret of the run."""
    with os.fdopen(secret, "rb") as pipe:
        repeated = pipe.read().decode("ascii")
    # The folder of this file is not on the path of the training.
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != folder]
    facts = {
        "event": "paths",
        "secret": repeated,
        "version": sys.version,
        "implementation": sys.implementation.name,
        "prefixes": [sys.prefix, sys.base_prefix, sys.exec_prefix],
        "flags": repr(sys.flags),
        "path": [str(entry) for entry in sys.path],
        "origins": {name: _origin(name) for name in modules},
    }
    data = (json.dumps(facts) + "\n").encode("utf-8")
    while data:
        data = data[os.write(descriptor, data) :]


def _origin(name: str) -> Optional[str]:
    # An editable installation can add a finder of its own, and any such finder can raise.
    finders: List[Any] = list(sys.meta_path)
    for finder in finders:
        try:
            spec = finder.find_spec(name, None)
        except Exception:  # noqa: BLE001, S112 - somebody else's code
            continue
        if spec is not None:
            locations = list(spec.submodule_search_locations or ())
            return str(locations[0] if locations else spec.origin)
    return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
