"""Describes what is installed in the target interpreter, without importing it. vc2doctor runs this file by path.

Standard library only, Python 3.8 and newer. The arguments are two file descriptors. The facts are written to the first
as one JSON line, so that the output of a ``sitecustomize`` cannot mix with them. The secret of the run, which the line
repeats, is read from the second.
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
"""Modules whose origin is looked up, and whose distributions are checked for missing files."""

MODULE_ENDINGS = (".py", ".so", ".pyd", ".dylib")

MAX_RECORD = 64 * 1024 * 1024
"""Bytes. A larger RECORD is damaged: that of torch 2.13.0 has about 1 MiB."""

MAX_RECORD_COLUMNS = 4
"""Path, hash, size, and an empty one after a trailing comma."""


def main(descriptor: int, secret: int) -> None:
    """Write the facts of this interpreter to ``descriptor``, with the secret of the run."""
    with os.fdopen(secret, "rb") as pipe:
        repeated = pipe.read().decode("ascii")
    # The folder of this file must not shadow a module of the target.
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != folder]
    facts = {
        "event": "facts",
        "secret": repeated,
        "interpreter": _interpreter(),
        "platform": _platform(),
        "distributions": _distributions(),
        "modules": [_module(name) for name in MODULES],
    }
    data = (json.dumps(facts) + "\n").encode("utf-8")
    while data:
        data = data[os.write(descriptor, data) :]


def _interpreter() -> Dict[str, Any]:
    venv = sys.prefix != sys.base_prefix
    kind = "system"
    if venv:
        kind = "venv"
    elif os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        kind = "conda"
    # https://packaging.python.org/en/latest/specifications/externally-managed-environments/
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "prefix": sys.prefix,
        "kind": kind,
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
    for finder in sys.meta_path:
        spec = _find_spec(finder, name)
        if spec is not None:
            return {"name": name, "found": True, "origin": spec.origin}
    return {"name": name, "found": False, "origin": None}


def _find_spec(finder: Any, name: str) -> Any:
    # An editable installation can add a finder of its own, and any such finder can raise.
    try:
        return finder.find_spec(name, None)
    except Exception:  # noqa: BLE001 - somebody else's code
        return None


def _distributions() -> List[Dict[str, Any]]:
    return [_distribution_or_problem(folder) for folder in _folders()]


def _distribution_or_problem(folder: str) -> Dict[str, Any]:
    # One broken folder must not hide the other distributions.
    try:
        return _distribution(folder)
    except Exception as error:  # noqa: BLE001 - a damaged folder can raise anything
        name = re.split(r"-\d", os.path.basename(folder))[0].rsplit(".", 1)[0]
        return {"name": name, "version": None, "path": folder, "problems": ["unreadable: %s" % error]}


def _folders() -> List[str]:
    """Return every metadata folder (or egg-info file) on the path, in import order, without repetitions."""
    folders: List[str] = []
    for distribution in metadata.distributions():
        folder = getattr(distribution, "_path", None)
        if folder is not None and str(folder) not in folders:
            folders.append(str(folder))
    return folders


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
    # Looking up every file takes long, so only the distributions of the stack are checked.
    check_files = _normalized(name) in {_normalized(module) for module in MODULES}
    problems.extend(_record_problems(folder, installer, check_files=check_files))
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
            # The headers end at the first blank line; the description after it can be long and is not needed.
            return HeaderParser().parsestr(text.split("\n\n", 1)[0])
    problems.append("METADATA is missing or empty")
    return None


def _record_problems(folder: str, installer: Optional[str], *, check_files: bool) -> List[str]:
    record = os.path.join(folder, "RECORD")
    if not os.path.exists(record):
        # conda and Linux distributions keep records of their own, so only pip and uv need this file.
        return ["RECORD is missing, so %s cannot remove it" % installer] if installer in ("pip", "uv") else []
    if os.path.getsize(record) > MAX_RECORD:
        return ["RECORD is larger than 64 MiB"]
    try:
        with open(record, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, ValueError, csv.Error) as error:
        return ["RECORD cannot be read: %s" % error]
    if any(not 1 < len(row) <= MAX_RECORD_COLUMNS or "\0" in row[0] for row in rows):
        return ["RECORD is not a list of files"]
    return _lost_files(os.path.dirname(folder), [row[0] for row in rows]) if check_files else []


def _lost_files(root: str, paths: List[str]) -> List[str]:
    # Slim images delete tests on purpose.
    modules = [path for path in paths if path.endswith(MODULE_ENDINGS) and "/test" not in path.lower()]
    lost = [path for path in modules if not os.path.exists(os.path.join(root, path))]
    if not lost:
        return []
    return ["%d of the %d modules in RECORD are not on disk, e.g. %s" % (len(lost), len(modules), lost[0])]


def _is_editable(folder: str) -> bool:
    # https://packaging.python.org/en/latest/specifications/direct-url/; setup.py develop writes an egg-info instead.
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


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
