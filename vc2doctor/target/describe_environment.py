"""Runs by path in the target interpreter and tells what is installed there, importing none of it.

Standard library only, Python 3.8 and newer. The facts go, as one JSON line, to the file descriptor that the only
argument names: what a ``sitecustomize`` prints cannot disturb them.
"""

import csv
import importlib.machinery
import json
import os
import platform
import re
import sys
import sysconfig
from email.parser import HeaderParser
from importlib import metadata
from typing import Any, Dict, List, Optional

MODULES = ("torch", "transformers", "peft", "numpy", "accelerate", "tokenizers", "huggingface_hub", "safetensors")
"""Modules whose origin is looked up, and whose distributions' files are counted on disk."""

_LONGEST_RECORD = 64 * 1024 * 1024


def main(descriptor: int) -> None:
    """Write the facts of this interpreter to ``descriptor``."""
    own = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != own]
    facts = {
        "event": "facts",
        "interpreter": _interpreter(),
        "platform": _platform(),
        "distributions": _distributions(),
        "modules": [_module(name) for name in MODULES],
    }
    data = (json.dumps(facts) + "\n").encode("utf-8")
    while data:
        data = data[os.write(descriptor, data) :]


def _interpreter() -> Dict[str, Any]:
    conda = os.path.isdir(os.path.join(sys.prefix, "conda-meta"))
    venv = sys.prefix != sys.base_prefix
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "prefix": sys.prefix,
        "kind": "venv" if venv else "conda" if conda else "system",
        "externally_managed": not venv and os.path.exists(marker),
        "has_pip": importlib.machinery.PathFinder.find_spec("pip") is not None,
    }


def _platform() -> Dict[str, Any]:
    version = ".".join(platform.python_version_tuple()[:2])
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() if os.name == "posix" else "",
        "markers": {
            "implementation_name": sys.implementation.name,
            "implementation_version": platform.python_version(),
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_python_implementation": platform.python_implementation(),
            "platform_release": platform.release(),
            "platform_system": platform.system(),
            "platform_version": platform.version(),
            "python_full_version": platform.python_version(),
            "python_version": version,
            "sys_platform": sys.platform,
        },
    }


def _module(name: str) -> Dict[str, Any]:
    origin: Optional[str] = None
    found = False
    for finder in sys.meta_path:
        # An editable installation may bring a finder of its own; any finder may be broken.
        try:
            spec = finder.find_spec(name, None)
        except Exception:  # noqa: BLE001, S112 - somebody else's finder
            continue
        if spec is not None:
            found = True
            origin = spec.origin
            break
    return {"name": name, "found": found, "origin": origin}


def _ask(finder: Any, name: str) -> Any:
    # An editable installation may bring a finder of its own; any finder may be broken.
    try:
        return finder.find_spec(name, None)
    except Exception:  # noqa: BLE001 - somebody else's code
        return None


def _distributions() -> List[Dict[str, Any]]:
    return [_distribution_or_ruin(folder) for folder in _folders()]


def _distribution_or_ruin(folder: str) -> Dict[str, Any]:
    # One broken folder must not hide all the others.
    try:
        return _distribution(folder)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it
        name = re.split(r"-\d", os.path.basename(folder))[0].rsplit(".", 1)[0]
        return {"name": name, "version": None, "path": folder, "problems": ["unreadable: %s" % error]}


def _folders() -> List[str]:
    """Return every metadata folder (or egg-info file) on the path, in import order, each once."""
    found: List[str] = []
    for distribution in metadata.distributions():
        folder = getattr(distribution, "_path", None)
        if folder is not None and str(folder) not in found:
            found.append(str(folder))
    return found


def _distribution(folder: str) -> Dict[str, Any]:
    problems: List[str] = []
    headers = _headers(folder, problems)
    name = headers["Name"] if headers is not None else None
    stem = os.path.basename(folder).rsplit(".", 1)[0]
    if not name:
        name = stem.split("-")[0]
    version = headers["Version"] if headers is not None else None
    if headers is not None and not version:
        problems.append("METADATA names no version")
    installer = _read(os.path.join(folder, "INSTALLER"))
    watched = _normal(name) in {_normal(module) for module in MODULES}
    problems.extend(_record_problems(folder, installer, watched=watched))
    return {
        "name": name,
        "version": version,
        "path": folder,
        "requires": (headers.get_all("Requires-Dist") or []) if headers is not None else [],
        "extras": (headers.get_all("Provides-Extra") or []) if headers is not None else [],
        "installer": installer,
        "editable": _is_editable(folder),
        "problems": problems,
    }


def _headers(folder: str, problems: List[str]) -> Any:
    candidates = ("METADATA", "PKG-INFO") if os.path.isdir(folder) else ("",)
    for candidate in candidates:
        text = _read(os.path.join(folder, candidate) if candidate else folder)
        if text:
            # The description behind the blank line may be long, and nothing here wants it.
            return HeaderParser().parsestr(text.split("\n\n", 1)[0])
    problems.append("METADATA is missing or empty")
    return None


def _record_problems(folder: str, installer: Optional[str], *, watched: bool) -> List[str]:
    record = os.path.join(folder, "RECORD")
    if not os.path.exists(record):
        # conda and Linux distributions keep their own records.
        return ["RECORD is missing, so %s cannot remove it" % installer] if installer in ("pip", "uv") else []
    if os.path.getsize(record) > _LONGEST_RECORD:
        return ["RECORD is larger than 64 MiB"]
    try:
        with open(record, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, ValueError, csv.Error) as error:
        return ["RECORD cannot be read: %s" % error]
    if any(not 2 <= len(row) <= 4 or "\0" in row[0] for row in rows):  # noqa: PLR2004 - path, hash, size, empty
        return ["RECORD is not a list of files"]
    return _lost_files(os.path.dirname(folder), [row[0] for row in rows]) if watched else []


def _lost_files(root: str, paths: List[str]) -> List[str]:
    # Slim images leave tests out on purpose.
    wanted = [path for path in paths if path.endswith((".py", ".so", ".pyd", ".dylib")) and "/test" not in path.lower()]
    lost = [path for path in wanted if not os.path.exists(os.path.join(root, path))]
    if not lost:
        return []
    return ["%d of the %d modules in RECORD are not on disk, e.g. %s" % (len(lost), len(wanted), lost[0])]


def _is_editable(folder: str) -> bool:
    text = _read(os.path.join(folder, "direct_url.json"))
    if not text:
        return folder.endswith(".egg-info") and os.path.exists(os.path.join(os.path.dirname(folder), "setup.py"))
    try:
        return bool(json.loads(text).get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError):
        return False


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(int(sys.argv[1]))
