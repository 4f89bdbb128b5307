"""``vc2doctor init``: show or write the integrations that a project asks for."""

import contextlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vc2doctor.commands.integrations import INTEGRATIONS, Integration, Tested, requested_by
from vc2doctor.core import reading, writing
from vc2doctor.core.data import Data
from vc2doctor.core.errors import DoctorError

_MAIN = "main"
_BRANCHES = "branches: [main]"
"""How a template names the branch of a project."""
_BRANCH = re.compile(r"[\w./+-]{1,200}")
_MAX_REF_BYTES = 4096


class InitError(DoctorError):
    """There is no such integration, or its file would lie outside of the project."""


class Proposal(Data):
    """One file for a project."""

    name: str
    path: str
    text: str
    purpose: str
    tested: Tested
    sign: str | None
    """What in the project asks for it; ``None``: the user named it."""
    exists: bool
    """Whether the project has a file there, which is not overwritten."""
    is_identical: bool = False
    """Whether that file has just this text, so that nothing is left to do."""
    is_written: bool


class InitReport(Data):
    """The files that were shown or written."""

    proposals: tuple[Proposal, ...]
    names: tuple[str, ...] = ()
    """Those that the user named; none: the project decided."""
    available: dict[str, str]
    """Every integration by name, with its purpose."""
    exit_code: int
    """1: a file was to be written, and exists with another text."""


def init(folder: Path, names: Sequence[str], *, write: bool) -> InitReport:
    """Return the integrations ``names`` (empty: those that the project in ``folder`` asks for), and write them.

    A file that exists is never overwritten. All others are written, or none is.

    Raises:
        InitError: there is no integration of a name, or a link leads out of the project.
        OutputError: a file or a folder cannot be written; then none is.
    """
    by_name = {integration.name: integration for integration in INTEGRATIONS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        message = f"there is no integration {unknown[0]!r}; there are {', '.join(by_name)}"
        raise InitError(message)
    chosen = [(by_name[name], None) for name in dict.fromkeys(names)] if names else list(requested_by(folder))
    branch = default_branch(folder)
    # A link that leads nowhere counts: whatever it points to must not be made.
    files = {each.name: folder / each.path for each, _ in chosen}
    existing = {name: reading.text_or_empty(path) for name, path in files.items() if os.path.lexists(path)}
    if write:
        _write([each for each, _ in chosen if each.name not in existing], folder, branch)
    proposals = tuple(
        _proposal(each, sign, branch, existing.get(each.name), is_written=write and each.name not in existing)
        for each, sign in chosen
    )
    return InitReport(
        proposals=proposals,
        names=tuple(names),
        available={name: integration.purpose for name, integration in by_name.items()},
        exit_code=int(write and any(each.exists and not each.is_identical for each in proposals)),
    )


def _proposal(
    integration: Integration, sign: str | None, branch: str, present: str | None, *, is_written: bool
) -> Proposal:
    """Return what an integration proposes; ``present`` is the text of the file before, ``None``: there was none."""
    text = _for_branch(integration.text, branch)
    return Proposal(
        name=integration.name,
        path=integration.path,
        text=text,
        purpose=integration.purpose,
        tested=integration.tested,
        sign=sign,
        exists=present is not None,
        is_identical=present == text,
        is_written=is_written,
    )


def _write(integrations: Sequence[Integration], folder: Path, branch: str) -> None:
    """Write all files or none; ``branch`` is that which changes go to.

    Raises:
        InitError: a file would lie outside of the project.
        OutputError: a file cannot be written.
    """
    paths = [folder / each.path for each in integrations]
    for path in paths:
        _check_inside(path, folder)
    made: list[Path] = []
    try:
        for path in paths:
            _make_folders(path.parent, made)
        texts = [_for_branch(each.text, branch) for each in integrations]
        writing.write_outputs(zip(paths, texts, strict=True))
    except DoctorError:
        for new_folder in reversed(made):
            with contextlib.suppress(OSError):
                new_folder.rmdir()
        raise
    for path, each in zip(paths, integrations, strict=True):
        if each.executable:
            path.chmod(0o755)


def _check_inside(path: Path, folder: Path) -> None:
    root, parent = os.path.realpath(folder), os.path.realpath(path.parent)
    if os.path.commonpath((root, parent)) != root:
        name = path.parent.relative_to(folder)
        message = f"{name}: a link leads out of the project, to {parent}. Nothing was written. Write the file by hand."
        raise InitError(message)


def _make_folders(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; add each that is new to ``made``.

    Raises:
        OutputError: a folder cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        try:
            each.mkdir()
        except OSError as error:
            message = f"{each}: the folder cannot be made: {error.strerror}. Nothing was written."
            raise writing.OutputError(message) from error
        made.append(each)


def _for_branch(text: str, branch: str) -> str:
    return text.replace(_BRANCHES, f"branches: [{json.dumps(branch)}]") if branch != _MAIN else text


def default_branch(folder: Path) -> str:
    """Return the branch that changes of a git checkout go to: that of its origin, else the one that is checked out.

    Files are read, and git is not run. ``main`` stands for a folder that is no checkout, and for an unusual name.
    """
    git = _git_folder(folder)
    if git is None:
        return _MAIN
    common = reading.text_or_empty(git / "commondir", _MAX_REF_BYTES).strip()
    heads = ((git / common / "refs/remotes/origin/HEAD", "refs/remotes/origin/"), (git / "HEAD", "refs/heads/"))
    for path, prefix in heads:
        text = reading.text_or_empty(path, _MAX_REF_BYTES).strip()
        name = text.removeprefix(f"ref: {prefix}")
        if name != text and _BRANCH.fullmatch(name):
            return name
    return _MAIN


def _git_folder(folder: Path) -> Path | None:
    """Return the folder of git's own files for the checkout that ``folder`` is in; ``None``: there is none."""
    folder = folder.resolve()
    git = next((each / ".git" for each in (folder, *folder.parents) if (each / ".git").exists()), None)
    if git is None or git.is_dir():
        return git
    # A worktree and a submodule have a file that names the folder.
    return git.parent / reading.text_or_empty(git, _MAX_REF_BYTES).strip().removeprefix("gitdir: ")
