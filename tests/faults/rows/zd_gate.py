"""AD. The gate: its time limit, and the locks and results with which the ranks of a launch share one check."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import ON_PAPER

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_RAN = "the training ran"
_LOCK = '"$XDG_RUNTIME_DIR"/vc2doctor-gate-$(id -u)'


def _gate(scene: Scene, script: str = 'exec "$@"', *options: str, python: str = "") -> Command:
    runtime = scene.root / "runtime"
    runtime.mkdir(mode=0o700)
    variables = {"XDG_RUNTIME_DIR": str(runtime), "RANK": "1", "MASTER_PORT": "29500"}
    words = ("gate", *ON_PAPER, "--python", python or scene.target(), *options, "--", "echo", _RAN)
    return Command(words, script, variables=variables)


@rows("AD", {"1e300": "1e300", "1e10": "1e10", "a_month": "2678400"}, 0, says=_RAN, suite=("1e300",))
def time_limit_of(scene: Scene, seconds: str) -> Command:
    """The time limit is longer than the types of the system can hold."""
    return _gate(scene, 'exec "$@"', "--timeout", seconds)


@row("AD", 125, says="took longer than", says_not=_RAN)
def time_limit_of_almost_nothing(scene: Scene) -> Command:
    """The time limit is over before the next instruction."""
    return _gate(scene, 'exec "$@"', "--timeout", "1e-300")


@row("AD", 125, says="took longer than", says_not=_RAN)
def time_limit_with_blocked_signals(scene: Scene) -> Command:
    """The program that starts the gate blocks all signals, and the target hangs: another thread ends the gate."""
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))"
    source = f"import os, signal, sys; {block}; os.execvp(sys.argv[1], sys.argv[1:])"
    python = scene.target(sitecustomize="import time; time.sleep(300)")
    script = f'exec {sys.executable} -c {shlex.quote(source)} "$@"'
    return _gate(scene, script, "--timeout", "3", python=python)


_RESULTS: dict[str, str | bytes] = {
    "without_a_sentence": '{"fits": true}',
    "with_a_text_for_the_verdict": '{"fits": "false", "sentence": "x"}',
    "with_a_number_for_the_sentence": '{"fits": false, "sentence": 5}',
    "that_is_empty": "{}",
    "that_is_a_list": "[]",
    "with_a_key_twice": '{"fits": null, "fits": null, "sentence": null}',
}


@rows("AD", _RESULTS, 0, says=_RAN, suite=("without_a_sentence",))
def result_of_another_rank(scene: Scene, result: str) -> Command:
    """Another doctor, of an older or a newer version, left a result of another kind: this one checks for itself."""
    content = f'{{"members": [], "time": \'$(date +%s)\', "result": {result}}}'
    script = f"""RANK=0 "$@" > /dev/null 2>&1
for F in {_LOCK}/*.lock; do echo '{content}' > "${{F%.lock}}.result"; done
exec "$@"
"""
    return _gate(scene, script)


_ODD: dict[str, str | bytes] = {
    "result_is_cut_off": 'truncate -s 20 "${F%.lock}.result"',
    "result_is_nested_deeply": "head -c 200000 /dev/zero | tr '\\0' '[' > \"${F%.lock}.result\"",
    "result_is_a_pipe": 'rm "${F%.lock}.result"; mkfifo "${F%.lock}.result"',
    "result_is_a_link_to_an_endless_device": 'ln -sf /dev/zero "${F%.lock}.result"',
    "result_is_a_folder": 'rm "${F%.lock}.result"; mkdir "${F%.lock}.result"',
    "result_is_of_the_future": 'sed -i "s/\\"time\\": [0-9]/&9/" "${F%.lock}.result"',
    "lock_is_a_pipe": 'rm "$F"; mkfifo "$F"',
    "lock_is_a_link_to_nothing": 'rm "$F"; ln -s /nosuch "$F"',
    "lock_is_a_folder": 'rm "$F"; mkdir "$F"',
}


@rows("AD", _ODD, 0, says=_RAN)
def lock_folder_where_the(scene: Scene, damage: str) -> Command:
    """The files with which ranks share a check are damaged or odd."""
    script = f"""RANK=0 "$@" > /dev/null 2>&1
for F in {_LOCK}/*.lock; do {damage}; done
exec "$@"
"""
    return _gate(scene, script)


@row("AD", 0, says=_RAN)
def lock_folder_that_is_a_file(scene: Scene) -> Command:
    """A file is in the place of the folder of the locks: the one in the temporary folder is used, and stays there."""
    script = f"""touch {_LOCK}
"$@"; CODE=$?
rm "$TMPDIR"/vc2doctor-gate-*/*.lock "$TMPDIR"/vc2doctor-gate-*/*.result && rmdir "$TMPDIR"/vc2doctor-gate-* || CODE=9
exit $CODE
"""
    return _gate(scene, script)


@row("AD", 125, says="took longer than 5 s", says_not=_RAN)
def lock_of_a_rank_that_hangs(scene: Scene) -> Command:
    """The rank that checks for the others hangs for good: the time limit of the others counts."""
    script = f"""RANK=0 "$@" > /dev/null 2>&1
rm {_LOCK}/*.result
( flock 9; exec sleep 120 ) 9<> $(echo {_LOCK}/*.lock) &
sleep 1
"$@"; CODE=$?; kill %1; wait
exit $CODE
"""
    return _gate(scene, script, "--timeout", "5")
