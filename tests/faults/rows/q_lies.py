"""Q. Targets that lie, and settings nearby: never falsely fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import EVENT_PIPE, ON_PAPER, fake

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_FIT = ("Fit to train",)


def _imported(name: str) -> dict[str, object]:
    return {"event": "import", "package": name, "version": "9", "file": None, "seconds": 1}


_END: dict[str, object] = {"event": "end"}
_RECORDED = [*map(_imported, ("torch", "transformers", "peft")), _END]
_FIND = "import os, sys\nfd = int(sys.argv[sys.argv.index('--events') + 1])\n"


def _writing(events: list[dict[str, object]], **fields: object) -> str:
    lines = "".join(json.dumps({**event, **fields}) + "\n" for event in events)
    return f"{_FIND}os.write(fd, {lines.encode()!r})\nos._exit(0)\n"


@rows(
    "Q",
    {
        "without_a_secret": _writing(_RECORDED),
        "with_the_secret_of_another_run": _writing(_RECORDED, secret="0" * 32),
        "with_an_empty_secret": _writing(_RECORDED, secret=""),
        "with_a_secret_that_is_a_list": _writing(_RECORDED, secret=[]),
        "through_the_pipe_of_the_worker": f"{EVENT_PIPE}\npipe.emit('end')\nos._exit(0)\n",
    },
    1,
    3,
    says_not=_FIT,
    suite=("with_the_secret_of_another_run",),
)
def recorded_events(scene: Scene, source: str) -> Command:
    """A fake torch writes the events of a good run, and ends."""
    return Command(("check", "--python", scene.target(torch=source)))


@row("Q", 1, 3, says_not=_FIT)
def torch_that_ends_the_worker(scene: Scene) -> Command:
    """A fake torch ends the worker with exit code 0."""
    return Command(("check", "--python", scene.target(torch="import os; os._exit(0)")))


@row("Q", 1, 3, says_not=_FIT)
def torch_that_agrees_to_everything(scene: Scene) -> Command:
    """A fake stack has every attribute, which can be called, compared and computed with."""
    source = fake("agreeable")
    return Command(
        ("check", "--timeout", "30", "--python", scene.target(torch=source, transformers=source, peft=source))
    )


@row("Q", 1, 3, says="VC016", says_not=_FIT)
def version_that_is_another_in_the_module(scene: Scene) -> Command:
    """The module of torch has another version than its metadata: nothing that is known of the metadata counts."""
    return Command(("check", "--verbose", "--python", scene.target(torch='__version__ = "0.1.0"')))


@row("Q", 0, 1, 3, says="pyproject.toml")
def precision_of_a_parent_is_named(scene: Scene) -> Command:
    """Settings in a parent folder choose the precision that decides the verdict: the report names the file."""
    scene.file("pyproject.toml", '[tool.vc2doctor]\nprecision = "fp32"\n')
    scene.path("below").mkdir()
    return Command(("check", *ON_PAPER, "--python", scene.target()), folder=scene.path("below"))


@row("Q", 1, 3, says_not=_FIT)
def module_of_torch_in_a_variable(scene: Scene) -> Command:
    """`PYTHONPATH` of the user has another torch than the target: it is the one that training would import."""
    scene.file("other/torch/__init__.py", "raise ImportError('the other one')")
    python = scene.target()
    script = 'export PYTHONPATH="$PYTHONPATH:$PWD/other"; exec "$@"'
    return Command(("check", "--python", python), script=script)


def _good_run() -> list[dict[str, object]]:
    """Return the events of a check of the real stack: everything was finite and trained."""
    path = Path(__file__).parents[1] / "fakes" / "recorded.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@row("Q", 1, 3, says_not=_FIT)
def events_of_a_complete_good_run(scene: Scene) -> Command:
    """A fake torch writes all events that a check of the real torch made, and ends."""
    scene.empty_target()
    for event in _good_run():
        if event["event"] == "import":
            name, version = str(event["package"]), str(event["version"])
            scene.distribution(name, version, _writing(_good_run(), secret="0" * 32))
    return Command(("check", "--door", "loop", "--python", scene.python))
