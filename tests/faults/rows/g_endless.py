"""G. Files without an end, files that block, and files that are too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP, ON_PAPER, small_matrix

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_LINT = ("lint", ".")
_GIB = 1024**3
_SIDE_FILES = {
    "requirements": "requirements.txt",
    "gitignore": ".gitignore",
    "module": "model.py",
    "notebook": "notebook.ipynb",
    "yaml_configuration": "accelerate.yaml",
    "pyproject": "pyproject.toml",
    "setup_script": "setup.cfg",
    "git_folder": ".git",
}


@rows(
    "G",
    {name: _SIDE_FILES[name] for name in ("requirements", "gitignore", "module", "pyproject")},
    1,
    says="train.py",
)
def link_to_zeros(scene: Scene, name: str) -> Command:
    """A file beside the code is a link to `/dev/zero`."""
    scene.link(name, "/dev/zero")
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@rows("G", _SIDE_FILES, 1, says="train.py", suite=("gitignore",))
def pipe(scene: Scene, name: str) -> Command:
    """A file beside the code is a pipe that no program writes to."""
    scene.fifo(name)
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@rows(
    "G",
    {name: _SIDE_FILES[name] for name in ("module", "notebook", "requirements")},
    1,
    says="train.py",
)
def file_of_eight_gigabytes(scene: Scene, name: str) -> Command:
    """A file beside the code has eight gigabytes of zeros."""
    scene.sparse(name, 8 * _GIB)
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@rows("G", {"zeros": "/dev/zero", "random_bytes": "/dev/urandom", "a_terminal": "/dev/tty"}, 2, says="cannot be read")
def named_device(scene: Scene, name: str) -> Command:
    """The file that is to be linted is a link to a device."""
    scene.link("train.py", name)
    return Command(("lint", "train.py"))


@row("G", 2, says=("train.py: cannot be read", "pipe"), in_suite=True)
def named_pipe(scene: Scene) -> Command:
    """The file that is to be linted is a pipe."""
    scene.fifo("train.py")
    return Command(("lint", "train.py"))


@row("G", 2, says="settings.toml: cannot be read")
def settings_pipe(scene: Scene) -> Command:
    """`--config` names a pipe."""
    scene.fifo("settings.toml")
    return Command(("lint", "--config", "settings.toml", "."))


@rows("G", {"zeros": "/dev/zero", "a_folder": "/"}, 2, says="cells.jsonl")
def batch_of_versions(scene: Scene, name: str) -> Command:
    """`matrix explain --batch` gets a link to something that is no file."""
    scene.link("cells.jsonl", name)
    return Command(("matrix", "explain", "--batch", "cells.jsonl"))


@row("G", 0, says='"verdict"')
def batch_from_a_command(_: Scene) -> Command:
    """`matrix explain --batch <(command)`: the shell passes a pipe, which ends."""
    script = 'exec "$@" --batch <(echo \'{"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"}\')'
    return Command(("matrix", "explain"), script=script)


@row("G", 2, says="it is larger than 64 MiB")
def batch_from_a_command_without_an_end(_: Scene) -> Command:
    """`matrix explain --batch <(yes)`."""
    return Command(("matrix", "explain"), script='exec "$@" --batch <(yes)')


@row("G", 2, says="no program ended it within 60 s")
def batch_from_a_pipe_without_a_writer(scene: Scene) -> Command:
    """`matrix explain --batch` gets a pipe that no program writes to."""
    scene.fifo("cells.jsonl")
    return Command(("matrix", "explain", "--batch", "cells.jsonl"))


@row("G", 2, says="texts.txt")
def texts_without_an_end(scene: Scene) -> Command:
    """`probe --data` gets a link to `/dev/zero`."""
    scene.link("texts.txt", "/dev/zero")
    scene.file("model/config.json", "{}")
    return Command(("probe", "--model", "model", "--data", "texts.txt", "--python", scene.target()))


@row("G", 2, says="verdicts.json")
def matrix_file_that_is_a_pipe(scene: Scene) -> Command:
    """The compiled verdicts of a foreign matrix are a pipe."""
    small_matrix(scene)
    scene.path("m/verdicts.json").unlink()
    scene.fifo("m/verdicts.json")
    return Command(("matrix", "explain", "--matrix", "m", "torch==2.1.0"))


@row("G", 2, says="planted.toml")
def known_issue_without_an_end(scene: Scene) -> Command:
    """A known issue of a foreign matrix is a link to `/dev/zero`."""
    small_matrix(scene)
    scene.path("m/known_issues/planted.toml").unlink()
    scene.link("m/known_issues/planted.toml", "/dev/zero")
    return Command(("matrix", "explain", "--matrix", "m", "torch==2.1.0"))


@row("G", 3, says=("VC024", "it gave no answer"))
def metadata_that_is_a_pipe(scene: Scene) -> Command:
    """The metadata of a package of the target is a pipe: the target's own `importlib.metadata` waits."""
    python = scene.target()
    metadata = scene.packages / "torch-2.13.0.dist-info" / "METADATA"
    metadata.unlink()
    scene.fifo("pipe").rename(metadata)
    return Command(("check", *ON_PAPER, "--timeout", "5", "--python", python))


@row("G", 2, 3, says="evidence")
def evidence_appended_to_a_full_device(scene: Scene) -> Command:
    """`measure --append /dev/full`."""
    scene.device("evidence.jsonl", 1, 7)
    return Command(("measure", "--python", scene.target(), "--name", "x", "--append", "evidence.jsonl"))


@row("G", 0, 1, 3)
def checkpoint_file_that_is_a_pipe(scene: Scene) -> Command:
    """A weight file of the checkpoint is a pipe, and its configuration a link to `/dev/zero`."""
    scene.file("model/config.json", '{"model_type": "llama"}')
    scene.fifo("model/model.safetensors")
    scene.link("model/tokenizer.json", "/dev/zero")
    return Command(("probe", "--model", "model", "--timeout", "20", "--python", scene.target()))
