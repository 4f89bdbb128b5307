"""The matrix as a static site: files by name, which work from a disk without a server and without network."""

import json
from pathlib import Path
from typing import Any

from vc2doctor import __version__
from vc2doctor.commands.site import Site
from vc2doctor.core import reading

_FOLDER = Path(__file__).parent
ASSETS = ("index.html", "style.css", "site.js")
"""The files of the site that do not depend on the matrix."""


def files(site: Site) -> dict[str, str]:
    """Return the content of each file of the site, by its name relative to the folder of the site.

    Raises:
        ReadError: the doctor is not installed completely.
    """
    index = {**site.index.model_dump(), "doctor": __version__}
    data = {"data/index.js": _script("index", index)}
    data |= {f"data/torch-{entry.torch}.js": _script("torch", entry.model_dump()) for entry in site.torches}
    return {**{name: reading.read_text(_FOLDER / name) for name in ASSETS}, **data}


def _script(name: str, data: dict[str, Any]) -> str:
    """Return data as a script: browsers refuse to read JSON files from a disk, and run scripts."""
    # ASCII only, without <, > and &: the text cannot end the script, whatever a matrix says.
    text = json.dumps(data, separators=(",", ":"), sort_keys=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"matrixSite.{name}({text});\n"
