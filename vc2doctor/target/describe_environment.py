"""Describes what is installed in the target interpreter, without importing it. vc2doctor runs this file by path.

Standard library only, Python 3.8 and newer. The arguments are two file descriptors. The facts are written to the first
as one JSON line, so that the output of a ``sitecustomize`` cannot mix with them. The secret of the run, which the line
repeats, is read from the second.
"""

from __future__ import annotations

import gc
import importlib.machinery
import json
import os
import platform
import re
import sys
import sysconfig

TYPE_CHECKING = False
"""Type checkers take it for true. ``typing``, which has the real one, is slow to import, as are ``csv``, ``email`` and
``importlib.metadata``: every check starts this file."""
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

MODULES = ("torch", "transformers", "peft", "numpy", "accelerate", "tokenizers", "huggingface_hub", "safetensors")
"""Modules whose origin is looked up, and whose distributions are checked for missing files."""

MODULE_ENDINGS = (".py", ".so", ".pyd", ".dylib")

MAX_RECORD = 64 * 1024 * 1024
"""Bytes. A larger RECORD is damaged: that of torch 2.13.0 has about 1 MiB."""

MAX_RECORD_COLUMNS = 4
"""Path, hash, size, and an empty one after a trailing comma."""

_NO_SEPARATORS = bytes(set(range(256)) - set(b",\n"))
_LINES_OF_SEPARATORS = frozenset(b"," * number for number in range(MAX_RECORD_COLUMNS))


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
    folders = _folders_on_path()
    if folders is None:
        from importlib import metadata  # noqa: PLC0415 - slow, and needed for unusual installations only

        paths = (getattr(distribution, "_path", None) for distribution in metadata.distributions())
        folders = [str(path) for path in paths if path is not None]
    return list(dict.fromkeys(folders))


def _folders_on_path() -> Optional[List[str]]:
    """Return what ``importlib.metadata`` finds in the folders on the path.

    ``None``: only that module can tell. There is an egg or an archive on the path, or a finder that has distributions
    of its own.
    """
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    if finders != [importlib.machinery.PathFinder]:
        return None
    folders: List[str] = []
    for entry in sys.path:
        if entry.lower().rstrip("/").endswith(".egg") or os.path.isfile(entry or os.curdir):
            return None
        try:
            names = os.listdir(entry or os.curdir)
        except OSError:
            continue
        if any(name.lower() == "egg-info" or name.lower().endswith(".egg") for name in names):
            return None
        folders += [os.path.join(entry, name) for name in names if name.lower().endswith((".dist-info", ".egg-info"))]
    return folders


def _distribution(folder: str) -> Dict[str, Any]:
    problems: List[str] = []
    headers = _headers(folder, problems)
    name = _first(headers, "name")
    stem = os.path.basename(folder).rsplit(".", 1)[0]
    if not name:
        name = stem.split("-")[0]
    version = _first(headers, "version")
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
        "requires": _all(headers, "requires-dist"),
        "extras": _all(headers, "provides-extra"),
        "installer": installer,
        "editable": _is_editable(folder),
        "problems": problems,
    }


def _first(headers: Optional[List[List[str]]], name: str) -> Optional[str]:
    return next(iter(_all(headers, name)), None)


def _all(headers: Optional[List[List[str]]], name: str) -> List[str]:
    return [text for key, text in headers or () if key == name]


def _headers(folder: str, problems: List[str]) -> Optional[List[List[str]]]:
    """Return the headers as pairs of a name in lower case and a text, in their order."""
    candidates = ("METADATA", "PKG-INFO") if os.path.isdir(folder) else ("",)
    for candidate in candidates:
        text = _read(os.path.join(folder, candidate) if candidate else folder)
        if text:
            # The headers end at the first blank line; the description after it can be long and is not needed.
            return _parsed_headers(text.split("\n\n", 1)[0])
    problems.append("METADATA is missing or empty")
    return None


def _parsed_headers(text: str) -> List[List[str]]:
    """Return the headers of a text as ``email.parser`` reads them: a line that begins with a space continues one."""
    headers: List[List[str]] = []
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            if headers:
                headers[-1][1] += "\n" + line
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name:
            # The headers end here.
            break
        headers.append([name.lower(), value.strip()])
    return headers


def _record_problems(folder: str, installer: Optional[str], *, check_files: bool) -> List[str]:
    record = os.path.join(folder, "RECORD")
    if not os.path.exists(record):
        # conda and Linux distributions keep records of their own, so only pip and uv need this file.
        return ["RECORD is missing, so %s cannot remove it" % installer] if installer in ("pip", "uv") else []
    if os.path.getsize(record) > MAX_RECORD:
        return ["RECORD is larger than 64 MiB"]
    try:
        with open(record, "rb") as file:
            paths = _recorded_paths(file.read(), with_paths=check_files)
    except (OSError, ValueError) as error:
        return ["RECORD cannot be read: %s" % error]
    if paths is None:
        return ["RECORD is not a list of files"]
    return _lost_files(os.path.dirname(folder), paths) if check_files else []


def _recorded_paths(data: bytes, *, with_paths: bool) -> Optional[List[str]]:
    """Return the paths in a RECORD, or none of them without ``with_paths``; ``None``: it is not a list of files.

    Raises:
        ValueError: it is not CSV in UTF-8.
    """
    text = data.decode("utf-8")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b'"' in data or b"\r" in data:
        return _quoted_paths(text)
    # Without all but the separators, 20,000 lines become a few different ones, which are quickly compared.
    separators = data.translate(None, _NO_SEPARATORS).split(b"\n")
    lack_separators = separators.count(b"")
    is_list = b"\0" not in data and _LINES_OF_SEPARATORS.issuperset(separators)
    # Usually only the text after the last line break has no comma, because it is empty.
    if not is_list or (lack_separators > data.endswith(b"\n") and lack_separators != data.split(b"\n").count(b"")):
        return None
    return [line.partition(",")[0] for line in text.replace("\r\n", "\n").split("\n")] if with_paths else []


def _quoted_paths(text: str) -> Optional[List[str]]:
    """Return the paths in a RECORD that quotes some of them; ``None``: it is not a list of files.

    Raises:
        ValueError: it is not CSV.
    """
    import csv  # noqa: PLC0415 - slow, and few records quote anything

    try:
        rows = [row for row in csv.reader(text.splitlines(keepends=True)) if row]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if any(not 1 < len(row) <= MAX_RECORD_COLUMNS or "\0" in row[0] for row in rows):
        return None
    return [row[0] for row in rows]


def _lost_files(root: str, paths: List[str]) -> List[str]:
    # Slim images delete tests on purpose.
    modules = [path for path in paths if path.endswith(MODULE_ENDINGS) and "/test" not in path.lower()]
    lost = _missing(root, modules)
    if not lost:
        return []
    return ["%d of the %d modules in RECORD are not on disk, e.g. %s" % (len(lost), len(modules), lost[0])]


def _missing(root: str, paths: List[str]) -> List[str]:
    """Return the ``paths`` below ``root`` that do not exist. Each folder is listed once: torch has 3,000 modules."""
    by_folder: Dict[str, List[str]] = {}
    for path in paths:
        folder, separator, name = path.rpartition("/")
        by_folder.setdefault(folder + separator, []).append(name)
    missing = []
    for folder, names in by_folder.items():
        present = _names_in("%s/%s" % (root, folder))
        # A link may lead to nothing, and a file system may not tell upper from lower case.
        lost = [folder + name for name in names if name not in present]
        missing += [path for path in lost if not os.path.exists(os.path.join(root, path))]
    return missing


def _names_in(folder: str) -> Any:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not entry.is_symlink()}
    except OSError:
        return frozenset()


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
    # All that is made here is needed until the end, and a search for garbage takes a tenth of the time.
    gc.disable()
    main(*(int(argument) for argument in sys.argv[1:]))
    # When Python ends, it would search all objects once more.
    gc.freeze()
