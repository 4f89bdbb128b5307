"""O. Targets that fail while they are described: a finding and exit code 3, never wrong usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import ON_PAPER

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_CHECK = ("check", "--timeout", "6", "--python")


@rows(
    "O",
    {
        "sleeps": "import time; time.sleep(300)",
        "crashes": "import os; os.kill(os.getpid(), 11)",
        "floods_standard_error": "import os\nwhile True: os.write(2, b'x' * 65536)",
        "ends_quietly": "import os; os._exit(0)",
        "ends_with_255": "import os; os._exit(255)",
    },
    3,
    says="VC024",
)
def start_of_python(scene: Scene, source: str) -> Command:
    """The target has a `sitecustomize` that ends or keeps its Python."""
    return Command((*_CHECK, scene.target(sitecustomize=source)))


@row("O", 1, 3)
def start_that_takes_all_memory(scene: Scene) -> Command:
    """The target has a `sitecustomize` that takes all memory; Python may survive its MemoryError."""
    source = "x = []\nwhile True: x.append(bytearray(1 << 24))"
    return Command((*_CHECK, scene.target(sitecustomize=source)))


@row("O", 3, says="VC024")
def path_file_that_sleeps(scene: Scene) -> Command:
    """The target has a `.pth` file that sleeps."""
    python = scene.target()
    (scene.packages / "x.pth").write_text("import time; time.sleep(300)\n", encoding="utf-8")
    return Command((*_CHECK, python))


@row("O", 0, 1, says_not="VC024")
def start_that_takes_three_seconds(scene: Scene) -> Command:
    """The target's Python takes three seconds to start, which the time limit allows."""
    python = scene.target(sitecustomize="import time; time.sleep(3)")
    return Command(("check", *ON_PAPER, "--timeout", "60", "--python", python))


@rows(
    "O",
    {
        "a_text": "no program at all\n",
        "a_shell_script_that_says_yes": "#!/bin/sh\nyes\n",
        "a_script_that_fails": "#!/bin/sh\necho no python here >&2\nexit 127\n",
        "a_script_without_its_interpreter": "#!/nosuch/program\n",
        "an_empty_file": "",
        "a_python_that_says_it_is_old": "#!/bin/sh\necho Python 2.7\n",
        "a_script_that_prints_json": '#!/bin/sh\necho \'{"event": "facts", "interpreter": {}}\'\n',
        "a_script_that_starts_itself": '#!/bin/sh\nexec "$0" "$@"\n',
    },
    2,
    3,
    says="python",
    suite=("a_text",),
)
def interpreter_that_is(scene: Scene, text: str) -> Command:
    """`--python` names something else than a Python."""
    return Command((*_CHECK, scene.script("python", text)))


@row("O", 2, says="fifo")
def interpreter_that_is_a_pipe(scene: Scene) -> Command:
    """`--python` names a pipe."""
    scene.fifo("fifo")
    return Command((*_CHECK, "fifo"))


@row("O", 2, says="python")
def interpreter_that_may_not_be_run(scene: Scene) -> Command:
    """`--python` names a file that is not executable."""
    scene.file("python", "#!/bin/sh\n", 0o644)
    return Command((*_CHECK, "python"))
