"""The folders of one row: the user's tree, a target environment, a home, a temporary folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import vc2doctor
from tests.faults.model import NotPossibleError
from vc2doctor.matrix import load

ROOT = Path(vc2doctor.__file__).resolve().parents[1]
"""The checkout."""
STACK_VARIABLE = "VC2DOCTOR_FAULTS_PYTHON"
ON_PAPER = ("--no-probe", "--accept", "inferred")
"""Options with which versions alone decide."""
_HASHED_BYTES = 4 * 1024 * 1024
"""Files up to this size are compared by their content, larger ones by size and time."""

HALF_LOOP = """import torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("x", torch_dtype=torch.float16).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
for batch in loader:
    loss = model(**batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
"""
"""A loop that trains float16 parameters under AdamW, which the linter reports."""

WITHOUT_PRIVILEGES = (
    "setpriv --reuid 54321 --regid 54321 --clear-groups"
    " --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search"
)
"""Shell words with which root runs a program as a user that may read everything and write nothing."""
EVENT_PIPE = """
import gc, os, sys
pipe = next(thing for thing in gc.get_objects() if type(thing).__name__ == "EventPipe")
"""
"""Source with which a hostile package gets hold of the worker's own pipe: the secret does not prevent that."""


class Scene:
    """Folders of one row below ``root``, and functions that put faults there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree, self.home, self.temporary, self.venv = (
            root / name for name in ("tree", "home", "temporary", "venv")
        )
        self.cache = root / "cache"
        """Where caches of the user are. It is not compared, and made by the doctor or by a row."""
        self.signs = root / "signs"
        """Where targets leave a file when they have come to a certain point. It is not compared."""
        for folder in (self.tree, self.home, self.temporary, self.signs):
            folder.mkdir()

    def file(self, name: str | bytes, content: str | bytes = "", mode: int | None = None) -> Path:
        """Write a file of the tree; missing folders are made."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
        if mode is not None:
            path.chmod(mode)
        return path

    def path(self, name: str | bytes) -> Path:
        """Return the path of something in the tree."""
        return self.tree / (os.fsdecode(name))

    def link(self, name: str, target: str | Path) -> Path:
        """Make a symbolic link in the tree."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        return path

    def fifo(self, name: str) -> Path:
        """Make a pipe with a name in the tree."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        return path

    def device(self, name: str, major: int, minor: int) -> Path:
        """Make a character device in the tree.

        Raises:
            NotPossibleError: only root may do that.
        """
        path = self.path(name)
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        except OSError as error:
            message = f"no device can be made: {error.strerror}"
            raise NotPossibleError(message) from error
        return path

    def sparse(self, name: str, size: int) -> Path:
        """Make a file of ``size`` bytes that takes no space."""
        path = self.file(name)
        with path.open("r+b") as file:
            file.truncate(size)
        return path

    def target(self, **modules: str) -> str:
        """Make an environment with the stack, whose modules have these sources; return the path of its Python.

        A module called ``sitecustomize`` is one file without a version. A stack module is ``__init__.py`` of a package.
        """
        sources = {"torch": "", "transformers": "", "peft": "", **modules}
        packages = self.empty_target()
        for name, version in (("torch", "2.13.0"), ("transformers", "4.40.1"), ("peft", "0.10.0")):
            self.distribution(name, version, sources.pop(name))
        for name, source in sources.items():
            (packages / f"{name}.py").write_text(source, encoding="utf-8", errors="surrogateescape")
        return str(self.venv / "bin" / "python")

    def empty_target(self) -> Path:
        """Make an environment of this Python without packages, and return its site-packages."""
        base = Path(sys.base_prefix) / "bin" / "python3"
        packages = self.packages
        packages.mkdir(parents=True)
        (self.venv / "bin").mkdir()
        for name in ("python", "python3"):
            (self.venv / "bin" / name).symlink_to(base)
        text = f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {sys.version.split()[0]}\n"
        (self.venv / "pyvenv.cfg").write_text(text, encoding="utf-8")
        return packages

    @property
    def packages(self) -> Path:
        """The site-packages of the target."""
        return self.venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"

    @property
    def python(self) -> str:
        """The Python of the target."""
        return str(self.venv / "bin" / "python")

    def distribution(self, name: str, version: str, source: str = "", metadata: str | bytes | None = None) -> Path:
        """Write the module and the dist-info of a distribution into the target; return the dist-info."""
        info = self.packages / f"{name}-{version}.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" if metadata is None else metadata
        (info / "METADATA").write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
        (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
        module = self.packages / name
        module.mkdir(exist_ok=True)
        (module / "__init__.py").write_text(f'__version__ = "{version}"\n{source}\n', encoding="utf-8")
        record = f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n{name}/__init__.py,,\n"
        (info / "RECORD").write_text(record, encoding="utf-8")
        return info

    def script(self, name: str, text: str) -> str:
        """Write a program of the tree, and return its path."""
        return str(self.file(name, text, 0o755))

    def repository(self) -> None:
        """Make the tree a git repository with all files committed.

        Raises:
            NotPossibleError: there is no git.
        """
        if shutil.which("git") is None:
            message = "git is not installed"
            raise NotPossibleError(message)
        names = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        for words in (("init", "-q"), ("add", "-A"), (*names, "commit", "-q", "-m", "first")):
            subprocess.run(["git", *words], cwd=self.tree, check=True, capture_output=True)  # noqa: S607 - found on PATH

    def sign(self, name: str) -> str:
        """Return a Python statement that leaves the file ``name`` among the signs."""
        return f"open({str(self.signs / name)!r}, 'a').close()"

    def wrong_signs(self, *allowed: str) -> str:
        """Return a message if there are signs besides those that are allowed: something was run that must not."""
        found = sorted({path.name for path in self.signs.iterdir()} - set(allowed))
        return f"this was run: {', '.join(found)}" if found else ""

    def digest(self) -> dict[str, str]:
        """Return a description of every file, link and folder of the scene that a run must not change."""
        entries: dict[str, str] = {}
        for folder in (self.tree, self.home, self.venv):
            for parent, folders, names in os.walk(folder):
                for name in (*folders, *names):
                    path = os.path.join(parent, name)  # noqa: PTH118 - names may not be text
                    entries[os.path.relpath(path, self.root)] = _describe(path)
        return entries


def _describe(path: str) -> str:
    try:
        status = os.lstat(path)
    except OSError as error:
        # A path of more than 4,096 bytes.
        return error.strerror or ""
    text = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if stat.S_ISLNK(status.st_mode):
        return f"{text} -> {os.readlink(path)}"  # noqa: PTH115 - names may not be text
    if not stat.S_ISREG(status.st_mode):
        return text
    text += f" {status.st_size} {status.st_mtime_ns}"
    if status.st_size > _HASHED_BYTES or not os.access(path, os.R_OK):
        return text
    return f"{text} {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"


def installed(scene: Scene) -> tuple[str, str]:
    """Return how the installed command is run: a script in another folder, so that the tree is not on its path."""
    script = scene.root / "vc2doctor"
    script.write_text("import sys\nfrom vc2doctor.cli.main import main\nsys.exit(main())\n", encoding="utf-8")
    return sys.executable, str(script)


def fake(name: str) -> str:
    """Return the source of a module of ``tests/faults/fakes``."""
    return (Path(__file__).parent / "fakes" / f"{name}.py").read_text(encoding="utf-8")


def needs_stack() -> str:
    """Return the Python of an environment with the real torch, transformers and peft.

    Raises:
        NotPossibleError: the caller gave none.
    """
    python = os.environ.get(STACK_VARIABLE)
    if not python:
        message = f"{STACK_VARIABLE} names no Python with the real torch; `nox -s faults` builds one"
        raise NotPossibleError(message)
    return python


@lru_cache(maxsize=1)
def has_mounts() -> bool:
    """Return whether this user may mount a tmpfs in a namespace of its own."""
    words = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=64k none /mnt"]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def mounted(options: str, folder: Path) -> str:
    """Return a shell script that runs the doctor with a tmpfs at ``folder``, gone afterwards.

    Raises:
        NotPossibleError: this user may not mount.
    """
    if not has_mounts():
        message = "this user may not mount a tmpfs"
        raise NotPossibleError(message)
    return f'exec unshare -m bash -c \'mount -t tmpfs -o {options} none {folder} && exec "$@"\' bash "$@"'


def needs_root() -> None:
    """Check that the row runs as root.

    Raises:
        NotPossibleError: it does not.
    """
    if os.geteuid():
        message = "only root can do that"
        raise NotPossibleError(message)


def small_matrix(scene: Scene, **changes: str) -> None:
    """Write a matrix to the folder ``m`` of the tree: no evidence, and one known issue, with these changed values.

    Values are TOML: ``symptom="'x'"``.
    """
    shipped, folder = load.shipped(), scene.path("m")
    shutil.copytree(shipped / "profiles", folder / "profiles")
    (folder / "evidence").mkdir()
    values = {
        "id": '"planted"',
        "title": '"a planted issue"',
        "severity": '"error"',
        "explanation": '"It is planted."',
        "symptom": "'nosuch'",
        "fix": '[["torch>=2.14"]]',
        "sources": '["https://example.org/1"]',
        "evidence": '"None."',
        "when": '[{ torch = ">=2" }]',
        **changes,
    }
    scene.file("m/known_issues/planted.toml", "".join(f"{key} = {value}\n" for key, value in values.items()))
    verdicts = json.loads((shipped / "verdicts.json").read_bytes())
    scene.file("m/verdicts.json", json.dumps({**verdicts, "sources": load.digest(folder)}))
