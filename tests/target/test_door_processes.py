"""What doors leave behind, and the processes of the DDP door: one that hangs is no failure of the door."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from vc2doctor.target.doors import Door, Unavailable
from vc2doctor.target.doors.ddp import run_ranks
from vc2doctor.target.probe import try_doors
from vc2doctor.target.probe.door_kit import Kit
from vc2doctor.target.runtime import Runtime
from vc2doctor.target.shared.spec import Spec

HANGS = "import time; time.sleep(60)"
FAILS = "import sys; sys.exit('out of luck')"


def commands(*sources: str) -> list[list[str]]:
    return [[sys.executable, "-S", "-c", source] for source in sources]


def test_processes_that_end_well_are_no_error(tmp_path: Path) -> None:
    run_ranks(commands("", "print('x' * 200000)"), str(tmp_path))


@pytest.mark.parametrize("sources", [(FAILS, HANGS), (HANGS, FAILS)])
def test_process_that_fails_is_reported_and_the_other_is_not_waited_for(
    sources: tuple[str, str], tmp_path: Path
) -> None:
    start_time = time.monotonic()
    with pytest.raises(RuntimeError, match="a process of two ended with 1: out of luck"):
        run_ranks(commands(*sources), str(tmp_path))
    assert time.monotonic() - start_time < 50


def test_processes_that_do_not_end_say_nothing_about_the_door(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="did not end within 1 s: this machine is busy"):
        run_ranks(commands(HANGS, ""), str(tmp_path), timeout=1.0)


def test_what_a_door_sets_is_gone_before_the_next_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    folder = Path.cwd()

    def train(kit: Kit) -> list[float | None]:
        os.environ.update(RANK="0", KEPT="2")
        (Path(kit.folder) / "store").touch()
        assert Path.cwd() == Path(kit.folder).resolve()
        return [1.0]

    door = Door("x", "x", load=lambda: None, train=train)
    assert try_doors._train(Runtime(None, None, None, None), Spec(seed=0), door)["losses"] == [1.0]
    assert (os.environ.get("RANK"), os.environ["KEPT"], Path.cwd()) == (None, "1", folder)
