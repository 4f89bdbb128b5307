"""Reads which versions of packages a project asks for: lock files, requirements, setup.py, pyproject.toml, conda."""

import ast
import configparser
import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from vc2doctor.core import parsing, reading
from vc2doctor.core.versions import MAX_REQUIREMENT_LENGTH, MAX_VERSION_LENGTH

MAX_BYTES = 256 * 1024
"""Larger files are lock files of other tools, or no requirements."""
_NAMED_VERSION = re.compile(
    r"(?<![\w/-])(?P<name>transformers|peft|trl|accelerate|bitsandbytes|(?:pytorch[-_ ])?lightning|(?:py)?torch)`?\s*"
    r"(?P<operator>==|>=|<=|~=|=|:|,? version:?)\s*`?v?"
    r"(?P<version>\d{1,9}(\.\d{1,9}){1,5})(?![\w.]*\w)(?P<newer>\+(?!\w))?",
    re.IGNORECASE,
)
"""A package with a version in a text for people."""
_FOR_DEVELOPERS = re.compile(r"(?<![a-z])(tests?|dev|docs?|lint|ci|build)(?![a-z])", re.IGNORECASE)
"""Files of requirements that the code itself is not run with."""
_OTHER_PURPOSE = re.compile(
    r"(?<![a-z])(serv|infer|eval|deploy|demo|app|api|web|gradio|vllm|benchmark|onnx)", re.IGNORECASE
)
"""Lists of requirements for something else than training, in an environment of its own."""
_GIT = re.compile(r"github\.com/[\w.-]+/([\w-]+)|#egg=([\w.-]+)")
_NEWEST_CODE = re.compile(r"github\.com/[\w.-]+/[\w.-]+?(\.git)?(@main|@master)?\s*$")
"""A repository without a commit or a tag: its newest code."""
_CLONE = re.compile(
    r"\bgit\s+clone\s+(?:https?://|git@)github\.com[/:]huggingface/"
    r"(?P<name>transformers|peft|trl|accelerate)(?:\.git)?/?[`\"']*\s*$"
)
"""A command that brings the newest code of a package; a copy of it by somebody else can be of any age."""
_LINES_OF_INSTALLATION = 8
"""Lines after such a command in which the package is installed, or another state of it is taken."""
_OTHER_STATE = re.compile(r"\bgit\s+(checkout|reset|switch)\b")
_FULL_DOTS = 2
"""Dots of a full version: ``4.28.1``."""
_NAMES_OF_CONDA = {"pytorch": "torch"}
_CONDA = re.compile(r"^([\w.-]+)\s*(==?|>=|<=|<|>|~=)\s*([\w.*]+)")
_CONDA_FILES = tuple(f"{name}.{suffix}" for name in ("*environment*", "*env", "conda*") for suffix in ("yml", "yaml"))
_TEXTS = (".md", ".rst", ".txt")
"""Suffixes of texts for people."""
_PIP = re.compile(r"\bpip3?\s+install\s+([^;&|]+)")
_EXACT_WORD = re.compile(r"(?<![\w./-])[A-Za-z][\w.-]*(?:\[[\w,]+\])?==\d[\w.+]*")
_LOCK_FILES = ("uv.lock", "poetry.lock", "pdm.lock")
MAX_LOCK_BYTES = 4 * 1024 * 1024
"""A lock file lists every wheel of every package, so it is much larger than a file that people write."""
_LOCKED = re.compile(
    r'^\[\[package\]\]\s*\nname = "(?P<name>[\w.-]+)"\s*\nversion = "(?P<version>[\w.+!-]+)"', re.MULTILINE
)
_NAMES_OF_LISTS = re.compile(r"require|(?<![a-z])deps$|dependenc", re.IGNORECASE)
"""Names of lists of requirements in ``setup.py``: that of transformers, which many copy, has its list in ``_deps``."""
_QUOTED_PACKAGE = re.compile(
    r"""["'](transformers|peft|trl|accelerate|bitsandbytes|torch)(?:\[[\w,]*\])?\s*(?:[=<>!~][^"'\n]*)?["']"""
)
"""A text of a setup.py that is a requirement of a package of the stack."""
_CONDA_COMMAND = re.compile(r"\b(?:conda|mamba)\s+install\s+([^;&|]+)")


class RequiredVersion(NamedTuple):
    """What a file of the project asks for."""

    specifier: str | None
    """``>=4.28,<4.40``; empty: any release. ``None``: a version that is not known, such as a commit."""
    file: str
    """Relative to the root of the project."""
    line: int
    is_newest: bool = False
    """Whether it is the newest code of a repository: an installer then takes what that requires, whatever is pinned."""

    @property
    def location(self) -> str:
        """``path:line``."""
        return f"{self.file}:{self.line}"


_Reader = Callable[[Path, Path], Iterator[tuple[str, RequiredVersion]]]


def requirements_of(root: Path, folder: str) -> Mapping[str, RequiredVersion]:
    """Return what the files of one folder ask for, by canonical name of the package; exact versions win.

    Files that cannot be read are left out: what they ask for is unknown.
    """
    found: dict[str, RequiredVersion] = {}
    base = root / folder
    lists = (*files_named(base, "requirement*.txt"), *files_named(base / "requirements", "*.txt"))
    for path in sorted(lists, key=lambda path: _purpose(path.stem)):
        if not _FOR_DEVELOPERS.search(path.stem):
            _keep(found, _from_lines(path, root))
    for name in _LOCK_FILES:
        _keep(found, _from_lock(base / name, root))
    for name, read_setup in (
        ("pyproject.toml", _from_pyproject),
        ("setup.py", _from_setup),
        ("setup.cfg", _from_setup_cfg),
    ):
        if (base / name).is_file():
            _keep(found, read_setup(base / name, root))
    for path in sorted({path for pattern in _CONDA_FILES for path in files_named(base, pattern)}):
        _keep(found, _from_conda(path, root))
    # A file of requirements counts more than a command of an image, and that more than what a text says.
    for subfolder, pattern, reader in _WEAK_FILES:
        for path in files_named(base / subfolder, pattern):
            for name, entry in reader(path, root):
                found.setdefault(name, entry)
    return found


def _purpose(stem: str) -> int:
    """Return how likely a list of requirements is meant for training: 0 is the most likely."""
    if re.search(r"(?<![a-z])(train|finetun|sft)", stem, re.IGNORECASE):
        return 0
    if re.fullmatch(r"requirements?|base|main|common|core", stem, re.IGNORECASE):
        return 1
    return 3 if _OTHER_PURPOSE.search(stem) else 2


def files_named(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder whose names match a pattern in any case: ``readme.md`` is a README, too.

    A folder that cannot be read has none.
    """
    try:
        paths = sorted(folder.iterdir())
    except (OSError, ValueError):
        # ValueError: the locale has no bytes for the name.
        return []
    matches = re.compile(fnmatch.translate(pattern), re.IGNORECASE).match
    return [path for path in paths if matches(path.name) and path.is_file()]


def _from_readme(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield the versions that a text for people names: ``pip install transformers==4.29.1``, ``peft: 0.3.0``.

    ``PyTorch: 1.8+`` allows newer releases, and ``pip install git+https://…/peft`` is the newest code.
    """
    newest: list[tuple[str, RequiredVersion]] = []
    lines = _text(path).splitlines()
    for number, line in enumerate(lines, 1):
        newest.extend(_cloned(path, root, number, lines))
        for word in (word for command in _PIP.findall(line) for word in command.split()):
            newest.extend(found for found in _entry(word.strip("`\"'"), path, root, number) if found[1].is_newest)
        for match in _NAMED_VERSION.finditer(line):
            operator = match["operator"] if match["operator"] in (">=", "<=", "~=") else "=="
            specifier = f"{'>=' if match['newer'] else operator}{match['version']}"
            name = re.sub("[_ ]", "-", match["name"].lower())
            file = path.relative_to(root).as_posix()
            # The first mention of torch counts: conda's `pytorch==1.10.0` is torch 1.10.0.
            yield _NAMES_OF_CONDA.get(name, name), RequiredVersion(specifier, file, number)
    # A version that the text names counts more than a way to install the newest code.
    yield from newest


def _cloned(path: Path, root: Path, number: int, lines: Sequence[str]) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield the package that a line clones and the next ones install: ``pip install -e ./transformers``.

    With a command that takes another state of it the version is not known.
    """
    clone = _CLONE.search(lines[number - 1])
    following = "\n".join(lines[number : number + _LINES_OF_INSTALLATION])
    if clone is not None and re.search(
        rf"\bpip3?\s+install\b.*(-e\b|\s\.|\b{clone['name']}\b)|\bsetup\.py\s+install", following
    ):
        is_newest = _OTHER_STATE.search(following) is None
        file = path.relative_to(root).as_posix()
        yield clone["name"], RequiredVersion("" if is_newest else None, file, number, is_newest)


def _from_commands(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield the exact versions that the commands ``pip install`` of an image or a script ask for."""
    text = _text(path).replace("\\\n", "  ")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            for command in _PIP.findall(line):
                for word in _EXACT_WORD.findall(command):
                    yield from _entry(word, path, root, number)
            for command in _CONDA_COMMAND.findall(line):
                for word in command.split():
                    yield from _of_conda(word, path, root, number)


def _from_lock(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield the releases that a lock file chose. A package with several, one for each platform, is left out."""
    text = reading.text_or_empty(path, MAX_LOCK_BYTES) if path.is_file() else ""
    locked: dict[str, list[re.Match[str]]] = {}
    for match in _LOCKED.finditer(text):
        locked.setdefault(canonicalize_name(match["name"]), []).append(match)
    for name, matches in locked.items():
        if len(matches) == 1:
            line = text.count("\n", 0, matches[0].start("name")) + 1
            yield from _entry(f"{name}=={matches[0]['version']}", path, root, line)


def _from_setup_cfg(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    parser = configparser.ConfigParser(interpolation=None)
    text = _text(path)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for line in parser.get("options", "install_requires", fallback="").splitlines():
        if line.strip():
            yield from _entry(line.strip(), path, root, _line_of(text, line.strip()))


def _keep(found: dict[str, RequiredVersion], entries: Iterable[tuple[str, RequiredVersion]]) -> None:
    for name, entry in entries:
        if name not in found or ("==" in (entry.specifier or "") and "==" not in (found[name].specifier or "")):
            found[name] = entry


def _text(path: Path) -> str:
    return reading.text_or_empty(path, MAX_BYTES)


def _entry(text: str, path: Path, root: Path, line: int) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield the package and the version that one requirement names."""
    file = path.relative_to(root).as_posix()
    if "git+" in text and "@ git+" not in text and "@git+" not in text:
        match = _GIT.search(text)
        if match:
            # Without a commit or a tag it is the newest code, which is at least as new as the newest release.
            is_newest = _NEWEST_CODE.search(text) is not None
            yield (
                canonicalize_name(match[1] or match[2]),
                RequiredVersion("" if is_newest else None, file, line, is_newest),
            )
        return
    if len(text) > MAX_REQUIREMENT_LENGTH:
        return
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return
    if requirement.url and _NEWEST_CODE.search(requirement.url):
        specifier: str | None = ""
    else:
        specifier = None if requirement.url else str(requirement.specifier)
    yield canonicalize_name(requirement.name), RequiredVersion(specifier, file, line)


def _from_lines(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    for number, line in enumerate(_text(path).splitlines(), 1):
        text = re.split(r"(?:^|\s)#|\s--", line)[0].strip()
        if text and not text.startswith("-"):
            yield from _entry(text, path, root, number)


def _from_pyproject(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    text = _text(path)
    try:
        content = parsing.parse_toml(text)
    except parsing.MalformedError:
        return
    for requirement in _strings(_inside(content, "project", "dependencies")):
        yield from _entry(requirement, path, root, _line_of(text, requirement))
    poetry = _inside(content, "tool", "poetry", "dependencies")
    for name, value in poetry.items() if isinstance(poetry, dict) else ():
        version = value.get("version") if isinstance(value, dict) else value
        specifier = _of_poetry(version) if isinstance(version, str) else None
        line = _line_of(text, str(name))
        yield canonicalize_name(str(name)), RequiredVersion(specifier, path.relative_to(root).as_posix(), line)


def _inside(content: Any, *keys: str) -> Any:  # noqa: ANN401 - as the file has it
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _strings(value: Any) -> list[str]:  # noqa: ANN401 - as the file has it
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _of_poetry(version: str) -> str | None:
    """Return the specifier of a version as poetry writes it; ``None``: it is not understood."""
    text = version.strip()
    if text == "*":
        return ""
    if len(text) > MAX_VERSION_LENGTH:
        return None
    if re.fullmatch(r"\^?\d[\w.]*", text):
        parts = [*text.lstrip("^").split("."), "0"]
        # ^4.28 admits everything below 5, and ^0.4 everything below 0.5.
        upper = f"{int(parts[0]) + 1}" if parts[0] != "0" else f"0.{_number(parts[1]) + 1}"
        return f">={text[1:]},<{upper}" if text.startswith("^") else f"=={text}"
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier:
        return None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _from_setup(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    found: set[str] = set()
    for text, line in _constants_of_setup(tree):
        for name, entry in _entry(text, path, root, line):
            found.add(name)
            yield name, entry
    setup = _text(path)
    # What is put together otherwise is unknown, and not without a requirement.
    for match in _QUOTED_PACKAGE.finditer(setup) if "install_requires" in setup else ():
        if match[1] not in found:
            line = setup.count("\n", 0, match.start()) + 1
            yield match[1], RequiredVersion(None, path.relative_to(root).as_posix(), line)


def _constants_of_setup(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the texts in lists and tables of requirements, with their lines: ``install_requires``, ``_deps``."""
    for node in ast.walk(tree):
        values = [node.value] if isinstance(node, ast.keyword) and node.arg == "install_requires" else []
        target = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
        is_list = _NAMES_OF_LISTS.search(target) and ("require" in target.lower() or not _FOR_DEVELOPERS.search(target))
        if isinstance(node, ast.Assign) and is_list:
            values.append(node.value)
        for value in values:
            elements = value.elts if isinstance(value, ast.List | ast.Tuple | ast.Set) else []
            elements = value.values if isinstance(value, ast.Dict) else elements
            for element in elements:
                if isinstance(element, ast.Constant) and isinstance(element.value, str):
                    yield element.value, element.lineno


def _from_conda(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    from vc2doctor.core import yaml_parsing  # noqa: PLC0415 - PyYAML is slow, and few projects need it here

    text = _text(path)
    try:
        content = yaml_parsing.parse_yaml(text)
    except parsing.MalformedError:
        return
    dependencies = _inside(content, "dependencies")
    for entry in dependencies if isinstance(dependencies, list) else ():
        for requirement in _strings(_inside(entry, "pip")):
            yield from _entry(requirement, path, root, _line_of(text, requirement))
        if isinstance(entry, str):
            yield from _of_conda(entry, path, root, _line_of(text, entry))


def _of_conda(entry: str, path: Path, root: Path, line: int) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield what a requirement in conda's notation asks for: ``pytorch::pytorch=1.10``."""
    match = _CONDA.match(entry.rpartition("::")[2])
    if match:
        operator = "==" if match[2] == "=" else match[2]
        # conda's = admits every release that begins so; a build after a second = does not matter.
        version = f"{match[3]}.*" if match[2] == "=" and match[3].count(".") < _FULL_DOTS else match[3]
        name = _NAMES_OF_CONDA.get(match[1], match[1])
        yield from _entry(f"{name}{operator}{version}", path, root, line)


def _line_of(text: str, part: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1) if part in line), 1)


def _from_comments(path: Path, root: Path) -> Iterator[tuple[str, RequiredVersion]]:
    """Yield the versions that comments of a requirements file say to install: ``# conda install pytorch==2.1``."""
    for name, entry in _from_readme(path, root):
        line = _text(path).splitlines()[entry.line - 1]
        if line.lstrip().startswith("#") and "install " in line:
            yield name, entry


_WEAK_FILES: tuple[tuple[str, str, _Reader], ...] = (
    ("", "Dockerfile*", _from_commands),
    ("docker", "Dockerfile*", _from_commands),
    ("", "install*.sh", _from_commands),
    ("", "setup*.sh", _from_commands),
    ("", "requirement*.txt", _from_comments),
    *(("", f"README*{suffix}", _from_readme) for suffix in _TEXTS),
    *(("", f"INSTALL*{suffix}", _from_readme) for suffix in _TEXTS),
    *(("docs", f"INSTALL*{suffix}", _from_readme) for suffix in _TEXTS),
)
"""Folders and files that tell versions besides the files of requirements, the most telling first."""
