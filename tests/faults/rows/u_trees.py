"""U. Trees of odd shape, and odd file systems."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.faults.model import Command, NotPossibleError, row, rows
from tests.faults.scene import HALF_LOOP, mounted, needs_root

if TYPE_CHECKING:
    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_FIX = ("lint", "--fix", "--precision", "bf16", "--allow-dirty", ".")
_LINT = ("lint", ".")


@row("U", 1, says="train.py", in_suite=True)
def links_in_circles(scene: Scene) -> Command:
    """Folders link to their parents, to themselves, and to the root; files link to themselves."""
    scene.file("d/train.py", HALF_LOOP)
    for name, target in (("d/up", ".."), ("d/self", "self"), ("root", "/proc/self/root"), ("loop.py", "loop.py")):
        scene.link(name, target)
    return Command(_LINT)


@row("U", 1, says="train.py")
def folders_nested_below_the_longest_path(scene: Scene) -> Command:
    """400 folders in each other: the path has more than 4,096 bytes."""
    scene.file("train.py", HALF_LOOP)
    top = os.open(scene.tree, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("abcdefghijk", dir_fd=top)
        below = os.open("abcdefghijk", os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    os.close(top)
    return Command(_LINT)


@row("U", 1, says="train.py")
def two_thousand_files(scene: Scene) -> Command:
    """2,000 modules in 200 folders."""
    for number in range(2_000):
        scene.file(f"d{number % 200}/m{number}.py", "import torch\n")
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@row("U", 1, says="TRAIN.py")
def names_that_differ_in_case(scene: Scene) -> Command:
    """Two modules whose names differ in case only, imported under a third case."""
    scene.file("train.py", HALF_LOOP)
    scene.file("TRAIN.py", HALF_LOOP)
    scene.file("main.py", "import Train, train\n")
    return Command(_LINT)


@row("U", 1, says="train.py")
def terabytes_of_nothing(scene: Scene) -> Command:
    """Sparse files of a tebibyte, with the names of code and of configurations."""
    for name in ("big.py", "big.yaml", "big.json", "big.ipynb", "run.sh"):
        scene.sparse(name, 1 << 40)
    scene.file("train.py", HALF_LOOP)
    return Command(_LINT)


@row("U", 1, 2, says="Read-only file system")
def fix_on_a_read_only_file_system(scene: Scene) -> Command:
    """`lint --fix` on a file system that is mounted read-only."""
    mounted("ro", scene.tree)
    scene.file("train.py", HALF_LOOP)
    mount = f"mount --bind {scene.tree} {scene.tree} && mount -o remount,bind,ro {scene.tree}"
    script = f'exec unshare -m bash -c \'{mount} && cd {scene.tree} && exec "$@"\' bash "$@"'
    return Command(_FIX, script=script)


@row("U", 1, 2, says="No space left")
def fix_on_a_full_file_system(scene: Scene) -> Command:
    """`lint --fix` of two files on a file system with room for none: both stay whole."""
    scene.file("train.py", HALF_LOOP)
    folder = scene.path("full")
    folder.mkdir()
    fill = (
        f"&& cp train.py {folder}/a.py && cp train.py {folder}/b.py && cp train.py ../signs/old"
        f' && {{ cat /dev/zero > {folder}/fill; true; }} 2>/dev/null; cd {folder} && {{ "$@"; code=$?;'
        " cmp a.py ../../signs/old && cmp b.py ../../signs/old || code=99; exit $code; }; exec"
    )
    return Command(_FIX, script=mounted("size=64k", folder).replace("&& exec", fill))


def _other_name_stays(scene: Scene, _: object) -> str:
    return (
        "" if (scene.home / "other.py").read_text(encoding="utf-8") == HALF_LOOP else "the other name was changed, too"
    )


@row("U", 0, 1, 2, changes=("tree/train.py",), verify=_other_name_stays)
def fix_of_a_file_with_two_names(scene: Scene) -> Command:
    """The fixed file has a second name outside of the tree (a hard link), which keeps its content."""
    (scene.home / "other.py").write_text(HALF_LOOP, encoding="utf-8")
    scene.path("train.py").hardlink_to(scene.home / "other.py")
    return Command(_FIX)


@row("U", 1, changes=("tree/report.txt",))
def report_under_a_umask_without_rights(scene: Scene) -> Command:
    """The umask takes all rights: the report has none, and the exit code is that of the verdict."""
    scene.file("train.py", HALF_LOOP)
    return Command((*_LINT, "--output", "report.txt"), script='umask 777; exec "$@"')


@rows(
    "U",
    {
        "a_line_break": "a\nb.py",
        "a_quote": 'a"b.py',
        "an_escape": "a\x1bb.py",
        "a_leading_dash": "-a.py",
        "255_bytes": "é" * 126 + ".py",
    },
    0,
    1,
    says_not="\x1b",
)
def patch_of_a_file_with(scene: Scene, name: str) -> Command:
    """`git apply` takes the patch of a file with an odd name, or the file is refused."""
    scene.file(name, HALF_LOOP)
    script = (
        '"$@" > ../signs/patch; code=$?; if [ $code = 0 ]; then cp -r . ../signs/copy && cd ../signs/copy'
        " && git init -q . && git apply --check ../patch || code=97; fi; exit $code"
    )
    return Command(("lint", "--diff", "--fix", "--precision", "bf16", "."), script=script)


@row("U", 1, 2, says="train.py")
def fix_of_a_file_that_nobody_may_change(scene: Scene) -> Command:
    """The fixed file is immutable (`chattr +i`)."""
    needs_root()
    path = scene.file("train.py", HALF_LOOP)
    if subprocess.run(["chattr", "+i", path], check=False, capture_output=True).returncode:  # noqa: S607 - found on PATH
        message = "this file system has no immutable files"
        raise NotPossibleError(message)
    return Command(_FIX, script='"$@"; code=$?; chattr -i train.py; exit $code')


def _old_report_stays(scene: Scene, _: Ran) -> str:
    text = (scene.signs / "report").read_text(encoding="utf-8")
    return "" if text == "old\n" else f"the report is now {text[:80]!r}"


@row("U", 2, says="No space left", verify=_old_report_stays)
def report_on_a_full_file_system(scene: Scene) -> Command:
    """The report replaces an old one on a file system without room: the old one stays."""
    scene.file("train.py", HALF_LOOP)
    folder = scene.path("full")
    folder.mkdir()
    fill = (
        f"&& echo old > {folder}/report && {{ cat /dev/zero > {folder}/fill; true; }} 2>/dev/null;"
        f' {{ "$@"; code=$?; cp {folder}/report ../signs/report; ls {folder} | wc -l | grep -qx 2 || code=99;'
        " exit $code; }; exec"
    )
    script = mounted("size=8k", folder).replace("&& exec", fill)
    return Command(("lint", "--format", "json", "--output", str(folder / "report"), "."), script=script)


@row("U", 1, 2, 3)
def scratch_on_a_full_file_system(scene: Scene) -> Command:
    """`TMPDIR` is on a file system without room, from which no program may be started."""
    folder = scene.path("full")
    folder.mkdir()
    fill = f"&& {{ cat /dev/zero > {folder}/fill; true; }} 2>/dev/null; TMPDIR={folder} exec"
    script = mounted("size=4k,noexec", folder).replace("&& exec", fill)
    return Command(("check", "--python", scene.target()), script=script)
