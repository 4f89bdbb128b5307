"""The probe on targets that misbehave: real child processes, each in a real environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Venv
from tests.processes import MARK, expect_nothing_left, needs_proc, new_mark
from vc2doctor.probe import run as runner
from vc2doctor.probe.facts import ProbeRun
from vc2doctor.probe.run import probe
from vc2doctor.target.shared.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable


EVENT_PIPE = """
import gc, os, sys
fd = int(sys.argv[sys.argv.index("--events") + 1])
pipe = next(thing for thing in gc.get_objects() if type(thing).__name__ == "EventPipe")
"""
"""Source with which a hostile package gets hold of the worker's own pipe: the secret does not prevent that."""


def run(venv: Venv, timeout: float = 30.0) -> ProbeRun:
    return probe(venv.python, "auto", list(RECIPES), timeout, lambda _: None)


def test_a_crash_is_reported_with_its_signal_and_stage(venv: Venv) -> None:
    venv.add_stack(torch="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    result = run(venv)
    assert (result.ending, result.child.signal, result.stage) == ("signal", "SIGSEGV", "importing torch")
    assert "Segmentation fault" in result.child.errors


def test_a_hang_is_reported_with_the_place_where_it_hung(venv: Venv) -> None:
    venv.add_stack(transformers="import time; time.sleep(60)")
    result = run(venv, timeout=2.0)
    assert (result.ending, result.stage) == ("timeout", "importing transformers")
    assert "transformers/__init__.py" in result.child.errors


def test_an_exit_during_import_is_a_failed_import(venv: Venv) -> None:
    venv.add_stack(torch="raise SystemExit(3)")
    result = run(venv)
    assert (result.ending, result.import_package) == ("finished", "torch")
    assert result.import_failure is not None
    assert result.import_failure.type == "SystemExit"


def test_an_exit_that_skips_python_is_reported_with_its_code(venv: Venv) -> None:
    venv.add_stack(torch="import os; os._exit(9)")
    result = run(venv)
    assert (result.ending, result.child.code) == ("exit", 9)


def test_noise_on_stdout_and_stderr_does_not_disturb_the_events(venv: Venv) -> None:
    noise = "import sys; print('{\"event\": \"end\"}' * 1000); sys.stderr.write('x' * 100000)"
    venv.add_stack(torch=noise, transformers="from nowhere import thing")
    result = run(venv)
    assert (result.ending, result.malformed_events, result.import_package) == ("finished", 0, "transformers")
    assert result.import_failure is not None
    assert result.import_failure.missing is not None
    assert result.import_failure.missing.module == "nowhere"


def test_a_missing_symbol_is_named_with_its_place(venv: Venv) -> None:
    venv.add_stack(transformers="class MistralConfig: pass\nMistralForCausalLM = 1")
    source = "\n\nfrom transformers import EncoderDecoderCache"
    (venv.packages / "peft" / "peft_model.py").write_text(source)
    (venv.packages / "peft" / "__init__.py").write_text("from .peft_model import x")
    failure = run(venv).import_failure
    assert failure is not None
    assert (failure.file, failure.line, failure.package) == ("peft/peft_model.py", 3, "peft")
    assert failure.missing is not None
    assert (failure.missing.module, failure.missing.symbol) == ("transformers", "EncoderDecoderCache")


def test_malformed_lines_on_the_pipe_are_counted(venv: Venv) -> None:
    source = (
        f"{EVENT_PIPE}\npipe.emit('step', recipe='fp32', loss=-1)\nos.write(fd, b'noise\\n')\nraise ImportError('no')"
    )
    venv.add_stack(torch=source)
    result = run(venv)
    assert result.malformed_events == 2
    assert result.import_package == "torch"


def test_a_device_that_fails_is_reported(venv: Venv) -> None:
    torch = """
class cuda:
    @staticmethod
    def is_available(): raise RuntimeError("CUDA unknown error")
class device:
    def __init__(self, name): self.type, self.index = name.split(":")[0], 0
"""
    venv.add_stack(torch=torch, transformers="class MistralConfig: pass\nMistralForCausalLM = 1")
    result = probe(venv.python, "cuda:0", ["fp32"], 30.0, lambda _: None)
    assert result.device_failure is not None
    assert "torch sees 0 GPUs: there is no cuda:0" in result.device_failure.message


def test_nothing_is_written_into_the_environment(venv: Venv) -> None:
    venv.add_stack(torch="raise ImportError('no')")
    before = set(venv.root.rglob("*"))
    run(venv)
    assert set(venv.root.rglob("*")) == before


def test_progress_is_reported_stage_by_stage(venv: Venv) -> None:
    venv.add_stack(torch="", transformers="raise ImportError('no')")
    stages: list[str] = []
    probe(venv.python, "auto", ["fp32"], 30.0, stages.append)
    assert stages[:2] == ["importing torch", "importing transformers"]


def test_the_target_runs_offline(venv: Venv) -> None:
    venv.add_stack(
        torch="import os; raise ImportError(os.environ['HF_HUB_OFFLINE'] + os.environ['TRANSFORMERS_OFFLINE'])"
    )
    failure = run(venv).import_failure
    assert failure is not None
    assert failure.message == "11"


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.12", "3.13"])
def test_the_worker_starts_on_every_python(version: str, venv_of: Callable[[str], Venv]) -> None:
    other = venv_of(version)
    other.add_stack(torch="raise ImportError('as far as this')")
    result = run(other)
    assert (result.ending, result.import_package) == ("finished", "torch")


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_the_worker_compiles_on_the_oldest_and_newest_python(version: str, venv_of: Callable[[str], Venv]) -> None:
    sources = sorted(str(path) for path in runner.WORKER.rglob("*.py"))
    check = "import ast, sys; [ast.parse(open(name, encoding='utf-8').read(), name) for name in sys.argv[1:]]"
    done = subprocess.run([venv_of(version).python, "-c", check, *sources], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_in_the_current_directory_is_not_imported(
    venv: Venv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    venv.add_stack(torch="raise ImportError('the right one')")
    failure = run(venv).import_failure
    assert failure is not None
    assert failure.message == "the right one"


def test_recorded_events_that_a_fake_torch_replays_are_malformed(venv: Venv) -> None:
    events: list[dict[str, Any]] = [
        {"event": "end"},
        {"event": "import", "package": "torch", "version": "9", "file": None, "seconds": 1},
    ]
    lines = "".join(json.dumps({**event, "secret": "0" * 32}) + "\\n" for event in events)
    source = (
        f"import os, sys\nfd = int(sys.argv[sys.argv.index('--events') + 1])\nos.write(fd, b'{lines}')\nos._exit(0)"
    )
    venv.add_stack(torch=source)
    result = run(venv)
    assert (result.ending, result.malformed_events, result.imports) == ("exit", 2, ())


@needs_proc
def test_secret_is_gone_before_a_package_is_imported(venv: Venv) -> None:
    source = """
import os, sys
places = [str(sys.argv), str(os.environ), open("/proc/self/environ").read(), open("/proc/self/cmdline").read()]
fd = int(sys.argv[sys.argv.index("--secret") + 1])
try:
    places.append(os.read(fd, 100).decode())
except OSError as error:
    places.append(str(error))
pipe = next(thing for thing in __import__("gc").get_objects() if type(thing).__name__ == "EventPipe")
raise ImportError(places[-1] + str(any(pipe._secret in place for place in places)))
"""
    venv.add_stack(torch=source)
    failure = run(venv).import_failure
    assert failure is not None
    assert failure.message == "[Errno 9] Bad file descriptorFalse"


@needs_proc
def test_progress_that_raises_ends_the_worker_at_once(venv: Venv) -> None:
    mark = new_mark()
    venv.add_stack(torch="import time; time.sleep(300)")

    def fail(_: str) -> None:
        message = "a bug of the doctor"
        raise ValueError(message)

    os.environ[MARK] = mark
    try:
        with pytest.raises(ValueError, match="a bug of the doctor"):
            probe(venv.python, "auto", ["fp32"], 200.0, fail)
    finally:
        del os.environ[MARK]
    expect_nothing_left(mark)


@pytest.mark.parametrize(
    ("body", "name"),
    [("raise ValueError('x')", "ValueError"), ("return 3", "TypeError"), ("1 / 0", "ZeroDivisionError")],
)
def test_exception_without_a_usable_message_is_a_failed_import(venv: Venv, body: str, name: str) -> None:
    venv.add_stack(torch=f"class E(ImportError):\n    def __str__(self): {body}\nraise E()")
    result = run(venv)
    assert (result.ending, result.import_package) == ("finished", "torch")
    assert result.import_failure is not None
    assert result.import_failure.message == f"(no message: its __str__ raised {name})"


def test_long_chain_of_causes_takes_little_time(venv: Venv) -> None:
    chain = "e = None\nfor _ in range(50000):\n    n = ImportError('x'); n.__cause__ = e; e = n\nraise e"
    venv.add_stack(torch=chain)
    result = run(venv)
    assert (result.ending, result.import_package) == ("finished", "torch")
    assert result.child.seconds < 5


def test_fork_of_the_worker_sends_no_events(venv: Venv) -> None:
    venv.add_stack(
        torch="import os\nos.waitpid(os.fork() or os._exit, 0) if 0 else os.fork()", peft="raise ImportError('no')"
    )
    result = run(venv)
    assert result.ending == "finished"
    # The fork ran ahead, and its events would come first, twice.
    assert [each.package for each in result.imports] == ["torch"]
    assert result.malformed_events == 0
