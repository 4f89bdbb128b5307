"""The task prolog and the job script under a real Slurm on this machine: ``nox -s integrations``.

It needs Debian's slurm-wlm, and root, because it starts munged, slurmctld and slurmd in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import make_venv
from vc2doctor.commands.integrations import INTEGRATIONS

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("slurm")]
ROOT = Path(__file__).parents[2]
BY_NAME = {integration.name: integration for integration in INTEGRATIONS}
SECONDS = 120.0
CONFIG = """
ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
TaskProlog={folder}/prolog.sh
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {SECONDS:.0f} s"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a cluster of one node, and return its folder; ``slurm.conf`` is in it."""
    programs = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in PROGRAMS}
    missing = [name for name, path in programs.items() if path is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'nothing else'}")
    folder = tmp_path_factory.mktemp("slurm")
    # munge requires that no other user can write to the folders above its files.
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    shutil.copy(ROOT / "vc2doctor" / "templates" / BY_NAME["slurm-prolog"].template, folder / "prolog.sh")
    (folder / "prolog.sh").chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    text = CONFIG.format(host=host, folder=folder, controller=free_port(), node=free_port())
    (folder / "slurm.conf").write_text(text)
    munge = [f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket", "--force", "--foreground"]
    munge += [f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    commands = [
        [str(programs["munged"]), *munge],
        [str(programs["slurmctld"]), "-D", "-f", str(folder / "slurm.conf")],
        [str(programs["slurmd"]), "-D", "-f", str(folder / "slurm.conf")],
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            stack.callback(_end, _start(command, folder))
            if command is commands[0]:
                wait_until((folder / "munge.socket").exists, "the start of munged")
        wait_until(lambda: "idle" in slurm(folder, "sinfo", "-h", "-o", "%T").stdout, "the node idle")
        yield folder


PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "sinfo")


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{Path(command[0]).name}.out").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=_variables(folder))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _variables(folder: Path) -> dict[str, str]:
    return {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}


def slurm(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**_variables(folder), **variables}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def project(cluster: Path) -> Path:
    """A project whose environment has versions that were measured to train, and a ``vc2doctor`` beside it."""
    folder = cluster / "project"
    folder.mkdir()
    venv = make_venv(folder / ".venv")
    venv.add_stack()
    (folder / "train.py").write_text("print('trained')\n")
    script = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    (venv.root / "bin" / "vc2doctor").write_text(f"{script}from vc2doctor.__main__ import main\n\nmain()\n")
    (venv.root / "bin" / "vc2doctor").chmod(0o755)
    text = BY_NAME["slurm-job"].text
    # This machine has no GPU, and the stack of the fixture cannot train.
    assert "--require gpu" in text
    (folder / "train.sbatch").write_text(
        text.replace("--require gpu", "--no-probe --accept inferred").replace("#SBATCH --gres=gpu:1\n", "")
    )
    return folder


def run_job(cluster: Path, project: Path, **variables: str) -> tuple[int, str]:
    """Submit the job, wait for its end, and return its exit code and output."""
    path = f"{project / '.venv' / 'bin'}:{os.environ['PATH']}"
    options = ("--wait", "--chdir", str(project), "--output", str(project / "job.out"), "--export", "ALL")
    ran = slurm(cluster, "sbatch", *options, str(project / "train.sbatch"), PATH=path, **variables)
    return ran.returncode, (project / "job.out").read_text() if (project / "job.out").exists() else ran.stderr


def test_job_trains_behind_prolog_and_gate_if_the_environment_is_fit(cluster: Path, project: Path) -> None:
    code, output = run_job(cluster, project, VC2DOCTOR_PYTHON=str(project / ".venv"))
    assert code == 0, output
    assert output.splitlines()[-1] == "trained"
    assert "Fit to train" in output or "fit" in output, "what the prolog and the gate say is in the log of the job"


def test_job_does_not_train_if_the_gate_refuses(cluster: Path, project: Path) -> None:
    peft = next((project / ".venv" / "lib").glob("python*/site-packages/peft"))
    shutil.move(peft, project / "peft-away")
    info = next(peft.parent.glob("peft-*.dist-info"))
    shutil.move(info, project / "info-away")
    try:
        code, output = run_job(cluster, project)
    finally:
        shutil.move(project / "peft-away", peft)
        shutil.move(project / "info-away", info)
    assert code == 125, output
    assert "peft is not installed" in output
    assert "trained" not in output.splitlines()


def test_prolog_ends_the_task_of_an_environment_that_is_not_fit(cluster: Path, project: Path) -> None:
    empty = make_venv(cluster / "empty")
    path = f"{project / '.venv' / 'bin'}:{os.environ['PATH']}"
    ran = slurm(
        cluster, "srun", "--chdir", str(project), "echo", "started", PATH=path, VC2DOCTOR_PYTHON=str(empty.root)
    )
    assert ran.returncode != 0, ran.stdout + ran.stderr
    assert "started" not in ran.stdout
    idle = slurm(cluster, "sinfo", "-h", "-o", "%T").stdout
    assert "drain" not in idle, "the environment of one user must not take the node from the others"
