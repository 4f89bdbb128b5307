"""X. Metadata of packages, and interpreters that are odd but answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import ON_PAPER

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_CHECK = ("check", *ON_PAPER, "--python")
_HEAD = "Metadata-Version: 2.1\n"


@rows(
    "X",
    {
        "an_escape_in_its_name": f"{_HEAD}Name: ev\x1b]0;x\x07il\nVersion: 1.0\n",
        "a_folded_name": f"{_HEAD}Name: evil\n [/red]\nVersion: 1.0\n",
        "no_name": f"{_HEAD}Version: 1.0\n",
        "nothing": "",
        "requirements_of_nonsense": f"{_HEAD}Name: evil\nVersion: 1.0\nRequires-Dist: a (>=!=)\nRequires-Dist: [[\n",
        "requirements_of_itself": f"{_HEAD}Name: evil\nVersion: 1.0\nRequires-Dist: evil>1\nRequires-Dist: torch\n",
        "twenty_thousand_requirements": f"{_HEAD}Name: evil\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: a{n}>=1\n" for n in range(20_000)),
        "extras_in_a_circle": f"{_HEAD}Name: evil\nVersion: 1.0\nProvides-Extra: x\nRequires-Dist: evil[x]\n"
        'Requires-Dist: evil[x]; extra == "x"\n',
        "thirty_megabytes": f"{_HEAD}Name: evil\nVersion: 1.0\n\n{'x' * 30_000_000}\n",
        "bytes_that_are_no_text": "Metadata-Version: 2.1\nName: ev\udcffil\nVersion: \udcfe\n",
    },
    0,
    1,
    3,
    says_not=("\x1b", "[/nope]"),
)
def package_with(scene: Scene, metadata: str) -> Command:
    """The target has a further package whose metadata is odd."""
    python = scene.target()
    scene.distribution("evil", "1.0", "", metadata)
    return Command((*_CHECK, python))


@rows(
    "X",
    {
        "other_digits": "\uff12.\uff15.\uff11",
        "many_digits": "1" * 5_000,
        "a_word": "latest",
        "an_epoch": "99999999!2.1",
        "no_text": "",
    },
    1,
    2,
    3,
    says_not="Fit to train",
)
def torch_with_a_version_of(scene: Scene, version: str) -> Command:
    """The version of torch in its metadata is odd: never fit."""
    python = scene.target()
    metadata = scene.packages / "torch-2.13.0.dist-info" / "METADATA"
    metadata.write_text(f"{_HEAD}Name: torch\nVersion: {version}\n", encoding="utf-8")
    return Command((*_CHECK, python))


@rows(
    "X",
    {
        "greets_first": 'echo "Welcome to the cluster"\nexec {python} "$@"\n',
        "ends_with_77": '{python} "$@"\nexit 77\n',
        "has_no_packages": 'exec {python} -I -S -E "$@"\n',
        "stays_in_the_background": 'setsid {python} "$@" >/dev/null 2>&1 &\nexit 0\n',
        "prints_its_environment": 'env\nexec {python} "$@"\n',
        "names_a_home_that_is_missing": 'PYTHONHOME=/nowhere exec {python} "$@"\n',
        "hides_its_own_name": '( exec -a "" {python} "$@" )\n',
        "greets_like_another_python": 'echo "Python 3.9.10 [PyPy 7.3.8 with GCC]"\nexit 0\n',
    },
    0,
    1,
    2,
    3,
)
def wrapper_that(scene: Scene, text: str) -> Command:
    """`--python` names a shell script around the real Python."""
    python = scene.target()
    return Command((*_CHECK, scene.script("python", "#!/bin/bash\n" + text.format(python=python)), "--timeout", "20"))


@row("X", 2, 3, says="python")
def wrapper_that_copies_its_input(scene: Scene) -> Command:
    """`--python` names a script that copies its standard input."""
    return Command((*_CHECK, scene.script("python", "#!/bin/sh\nexec cat\n"), "--timeout", "6"))


@row("X", 2, says="python")
def program_of_another_machine(scene: Scene) -> Command:
    """`--python` names an ELF file of a machine that does not exist."""
    scene.file("python", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xff\0" + bytes(200), 0o755)
    return Command((*_CHECK, "python"))


@row("X", 2, says="venv")
def venv_whose_python_is_a_circle(scene: Scene) -> Command:
    """The two names of the Python of the venv are links to each other."""
    scene.target()
    python = scene.venv / "bin" / "python"
    python.unlink()
    python.symlink_to("python3")
    (scene.venv / "bin" / "python3").unlink()
    (scene.venv / "bin" / "python3").symlink_to("python")
    return Command((*_CHECK, str(scene.venv)))


@row("X", 2, says="python")
def program_that_is_its_own_interpreter(scene: Scene) -> Command:
    """`--python` names a script whose first line names itself."""
    path = scene.path("python")
    return Command((*_CHECK, scene.script("python", f"#!{path}\n")))


@row("X", 1, 3)
def torch_whose_threads_never_end(scene: Scene) -> Command:
    """Torch starts a thread that never ends, and sleeps at the end of Python."""
    source = (
        "import atexit, threading, time\n"
        "threading.Thread(target=time.sleep, args=(9999,)).start()\n"
        "atexit.register(time.sleep, 9999)"
    )
    return Command(("check", "--timeout", "15", "--python", scene.target(torch=source)))
