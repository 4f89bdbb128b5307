"""S. Limits of resources: descriptors, sizes of files, memory, stack, processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP, WITHOUT_PRIVILEGES, needs_root

if TYPE_CHECKING:
    from tests.faults.scene import Scene


@rows("S", {"twelve": "12", "eight": "8", "six": "6"}, 1, 2, 3)
def descriptors_for_a_check(scene: Scene, count: str) -> Command:
    """A check may open few files (`ulimit -n`)."""
    return Command(("check", "--python", scene.target()), script=f'ulimit -n {count}; exec "$@"')


@row("S", 1, says="train.py", in_suite=True)
def descriptors_for_a_deep_tree(scene: Scene) -> Command:
    """The linted folders are nested deeper than files may be open."""
    scene.file("a/b/c/d/e/f/g/h/i/j/k/l/train.py", HALF_LOOP)
    return Command(("lint", "."), script='ulimit -n 10; exec "$@"')


@row("S", 2, says=("report.json", "cannot be written"))
def report_larger_than_the_limit_of_files(scene: Scene) -> Command:
    """The report is larger than files may be: the old report stays."""
    scene.file("train.py", HALF_LOOP)
    scene.file("report.json", "old")
    script = '{ (ulimit -f 0; exec "$@"); } 2>&1 | cat; exit ${PIPESTATUS[0]}'
    return Command(("lint", "--format", "json", "--output", "report.json", "."), script=script)


@row("S", 1, 2)
def fix_larger_than_the_limit_of_files(scene: Scene) -> Command:
    """A fixed file would be larger than files may be: the old one stays."""
    scene.file("train.py", HALF_LOOP)
    script = '{ (ulimit -f 0; exec "$@"); } 2>&1 | cat; exit ${PIPESTATUS[0]}'
    return Command(("lint", "--fix", "--precision", "bf16", "--allow-dirty", "."), script=script)


@row("S", 0, 1, 2, 3)
def little_memory(scene: Scene) -> Command:
    """The doctor and its children have 200 MB of address space each."""
    return Command(("check", "--python", scene.target()), script='ulimit -v 200000; exec "$@"')


@row("S", 1, says="train.py")
def small_stack(scene: Scene) -> Command:
    """The stack has 512 KiB, and a module has nested brackets and a long sum."""
    scene.file("odd.py", "x = " + "(" * 95 + "1" + ")" * 95 + "\ny = " + "+".join("a" * 900) + "\n")
    scene.file("train.py", HALF_LOOP)
    return Command(("lint", "."), script='ulimit -s 512; exec "$@"')


@row("S", 2, 3, says_not="Traceback")
def no_further_process(scene: Scene) -> Command:
    """A user without privileges may start no process (`ulimit -u`)."""
    needs_root()
    python = scene.target()
    scene.temporary.chmod(0o777)
    return Command(
        ("check", "--python", python), script=f'exec {WITHOUT_PRIVILEGES} bash -c \'ulimit -u 1; exec "$@"\' bash "$@"'
    )


@row("S", 0, 1, 2, 3, says_not="Segmentation")
def tiny_stack(scene: Scene) -> Command:
    """The stack has 256 KiB, and a module has brackets nested as deep as Python allows."""
    scene.file("train.py", "x = " + "(" * 90 + "1" + ")" * 90 + "\n" + HALF_LOOP)
    return Command(("lint", "."), script='ulimit -s 256; exec "$@"')


@row("S", -signal.SIGKILL, 3)
def a_second_of_the_processor(scene: Scene) -> Command:
    """The doctor and each child may use one second of the processor; the child alone may need more."""
    python = scene.target(torch="while True: pass")
    return Command(("check", "--python", python), script='ulimit -t 1; exec "$@"')
