"""Gathers what the key of a kept answer is made of.

It costs a fraction of an examination: nothing is imported in the target, and nothing is judged.
"""

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from vc2doctor import __version__
from vc2doctor.commands import command_files, command_line, decisions, settings
from vc2doctor.commands.cache_key import KeyFacts, relevant
from vc2doctor.commands.command_line import CommandReading
from vc2doctor.commands.request import CheckRequest, ExaminationRequest, GateRequest, ProbeRequest
from vc2doctor.core import huggingface
from vc2doctor.core.limits import DESCRIPTION_SECONDS
from vc2doctor.environment.choice import choose as choose_target
from vc2doctor.environment.fingerprint import (
    Ask,
    Fingerprint,
    FingerprintError,
    ask,
    digest_of,
    digest_of_file,
    fingerprint,
    tree_of,
)
from vc2doctor.environment.model import Nvidia, TargetChoice
from vc2doctor.environment.sources import Context, sources
from vc2doctor.matrix.load import shipped
from vc2doctor.target.shared.protocol import WORKER_VERSION

_Request = TypeVar("_Request", bound=ExaminationRequest)
_PACKAGE = Path(__file__).parents[1]
_MANIFEST_SUFFIXES = (".txt", ".toml", ".lock", ".cfg", ".yml", ".yaml", ".in")
"""Of files in the working folder that say what is installed; findings name their lines."""
MAX_NAMED_BYTES = 1024 * 1024
"""Of a file that an option names, or beside the code. Larger ones are data: size, time and inode have to be enough."""
MAX_CODE_FILES = 20_000
"""With more files, reading them takes longer than it saves."""
MAX_CHECKPOINT_FILES = 2_000
"""Of a folder with a checkpoint; the largest published ones have a few hundred. With more, it is another folder."""


def gather(
    request: ExaminationRequest,
    folder: Path,
    outputs: tuple[Path, ...] = (),
    command: CommandReading | None = None,
    ask_target: Ask = ask,
) -> KeyFacts:
    """Return the facts for a check or probe that is started in ``folder``, or for the gate before ``command``.

    ``outputs`` are the files that this run writes, so they are not part of what it reads. ``ask_target`` asks the
    target from where it imports, or remembers what it answered.

    Raises:
        DoctorError: something cannot be looked at, so that no answer can be kept.
    """
    choice = choose_target(request.python, folder)
    looks = fingerprint(choice.python, ask_target(choice.python, request.timeout or DESCRIPTION_SECONDS))
    written = frozenset(os.path.realpath(path) for path in outputs)
    contents = dict(_contents(request, folder, command))
    return KeyFacts(
        doctor={
            "version": __version__,
            "worker": WORKER_VERSION,
            "files": tree_of(_PACKAGE),
            "matrix": tree_of(request.matrix or shipped()),
        },
        environment=looks,
        machine=_machine(looks, choice, folder),
        request=repr(_with_interpreter(request, choice.python)),
        contents={path: digest for path, digest in contents.items() if path not in written},
        variables=relevant(os.environ),
        waivers=tuple(each.code for each in decisions.today(request.policy) if each.is_expired),
    )


def of_gate(
    request: GateRequest, folder: Path, outputs: tuple[Path, ...] = (), ask_target: Ask = ask
) -> KeyFacts | None:
    """Return the facts for the gate before a command; ``None``: its interpreter is not known.

    Raises:
        DoctorError: something cannot be looked at, so that no answer can be kept.
    """
    command = command_line.read(request.command, folder, os.environ)
    python = request.check.python or command.python
    if python is None:
        return None
    facts = gather(request.check.model_copy(update={"python": python}), folder, outputs, command, ask_target)
    named = choose_target(request.check.python, folder).python if request.check.python is not None else None
    asked = request if named is None else request.model_copy(update={"check": _with_interpreter(request.check, named)})
    return facts.model_copy(update={"request": f"{asked!r}\n{command!r}"})


def _with_interpreter(request: _Request, python: str) -> _Request:
    """Return ``request`` with the interpreter that it means, so that each way to name an environment has one key."""
    invocation = request.invocation
    if invocation is not None:
        options = tuple((name, python if name == "--python" else value) for name, value in invocation.options)
        invocation = invocation.model_copy(update={"options": options})
    return request.model_copy(update={"python": python, "invocation": invocation})


def _machine(looks: Fingerprint, choice: TargetChoice, folder: Path) -> dict[str, str]:
    # The builds follow from the versions and files, which are looked at anyway.
    context = Context(folder, frozenset(looks.files), Path(choice.python).parent.parent, {})
    observed = {source.name: _as_text(source.observe(context)) for source in sources()}
    # A home folder can be on several machines: one has the GPU that fails.
    return {
        **observed,
        "choice": repr(choice),
        "system": " ".join(platform.uname()),
        "folder": str(folder.resolve()),
    }


def _as_text(facts: object) -> str:
    if isinstance(facts, Nvidia):
        # Other programs take and give back memory all the time.
        cards = [gpu.model_copy(update={"memory_free": None}) for gpu in facts.gpus]
        facts = facts.model_copy(update={"gpus": tuple(cards)})
    # As text, because names of files need not be UTF-8.
    return repr(facts)


def _contents(request: ExaminationRequest, folder: Path, command: CommandReading | None) -> Iterator[tuple[str, str]]:
    """Yield the files that the answer depends on, each with a digest."""
    code = request.code if isinstance(request, CheckRequest) else None
    if isinstance(request, ProbeRequest):
        yield from _probed(request)
    if code is None and command is not None:
        code = command_files.root_of(command, folder)
        yield from _named_files(command, folder)
    if code is not None:
        yield from _code(code)
    if request.baseline is not None:
        yield "baseline", digest_of_file(request.baseline)
    places = [folder] if code is None else [folder, code if code.is_dir() else code.parent]
    for path in _settings(request.settings_source, places):
        yield os.path.realpath(path), digest_of_file(path)
    for place in dict.fromkeys(places):
        yield from _manifests(place)
    yield from _of_user(os.environ)


def _probed(request: ProbeRequest) -> Iterator[tuple[str, str]]:
    """Yield the files of the checkpoint, and that of the texts.

    Weights are too large to be read: their size, time and inode stand for them, as for the files of the stack.

    Raises:
        FingerprintError: the folder of the checkpoint has too many files.
    """
    if request.data is not None:
        yield "data", digest_of_file(request.data)
    if request.checkpoint is None:
        return
    for number, path in enumerate(_files(request.checkpoint)):
        if number >= MAX_CHECKPOINT_FILES:
            message = f"{request.checkpoint} has more than {MAX_CHECKPOINT_FILES:,} files"
            raise FingerprintError(message)
        yield f"checkpoint {path}", digest_of_file(path, MAX_NAMED_BYTES)


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or all files below a folder. Links are followed: the cache of huggingface_hub consists of them."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _settings(source: settings.SettingsSource, places: list[Path]) -> Iterator[Path]:
    if source.config is not None:
        yield source.config
    elif not source.isolated:
        yield from filter(None, map(settings.nearest_file, places))


def _code(code: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that the linter reads, and which it leaves out.

    Raises:
        FingerprintError: there are too many of them.
        LintError: there is no such path.
    """
    from vc2doctor.linter.read.discover import find_files, root_of  # noqa: PLC0415 - only a check of code needs it

    found = find_files((code,), root_of((code,)))
    if len(found.files) > MAX_CODE_FILES:
        message = f"{code} has more than {MAX_CODE_FILES:,} files of code"
        raise FingerprintError(message)
    for file in found.files:
        yield os.path.realpath(file.path), f"{file.is_ignored} {digest_of_file(file.path)}"
    yield "left out", digest_of(found.left_out)


def _named_files(command: CommandReading, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the files of a command, and what its options name: configurations, checkpoints, data."""
    for launch in command.launches:
        for path in command_files.files_of(launch, folder):
            yield os.path.realpath(path), digest_of_file(path)
        for flag in launch.flags.values():
            named = command_files.existing_path(flag.value or "", launch, folder)
            if named is not None:
                # Of a checkpoint the configuration decides. Other folders are what the training writes.
                yield (
                    f"named {named}",
                    digest_of_file(named / "config.json" if named.is_dir() else named, MAX_NAMED_BYTES),
                )
    if command.script is not None:
        yield os.path.realpath(command.script), digest_of_file(command.script)


def _manifests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.endswith(_MANIFEST_SUFFIXES) and path.is_file():
            yield os.path.realpath(path), digest_of_file(path, MAX_NAMED_BYTES)


def _of_user(variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield accelerate's default file, and the names of the models in the cache of huggingface_hub."""
    file = huggingface.accelerate_file(variables)
    yield str(file), digest_of_file(file)
    hub = huggingface.hub_folder(variables)
    snapshots = sorted(str(path) for path in hub.glob("models--*/snapshots/*")) if hub.is_dir() else []
    yield str(hub), digest_of(snapshots)
