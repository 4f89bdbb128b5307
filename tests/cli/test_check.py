"""``vc2doctor check`` as a user runs it, on real environments. Tests with the real stack are in test_stack.py."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import vc2doctor
from tests.conftest import ON_PAPER, Ran, Venv, make_venv
from vc2doctor.matrix import load

Doctor = Callable[..., Ran]


def test_measured_set_is_fit_without_probe(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, "--python", str(venv.root))
    assert ran.code == 0, ran.out + ran.err
    assert ran.out.startswith("! Fit to train under bf16 by versions alone (")
    assert "; nothing was tried (--no-probe)." in ran.out.splitlines()[0]
    again = shlex.split(ran.out.splitlines()[1])
    assert again == [sys.executable, "-m", "vc2doctor", "check", "--python", str(venv.root), "--accept", "inferred"]
    assert "\x1b" not in ran.err


def test_missing_packages_are_named(doctor: Doctor, venv: Venv) -> None:
    ran = doctor("check", "--python", venv.python)
    assert ran.code == 1
    assert "torch, transformers and peft are not installed" in ran.out


def test_active_environment_is_examined_and_the_report_says_why(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, VIRTUAL_ENV=str(venv.root))
    assert ran.code == 0, ran.out + ran.err
    assert f"Examined      {venv.root}: the active virtual environment (VIRTUAL_ENV)" in ran.out
    assert ran.out.splitlines()[0].endswith("Judged as: plain language model (no code given).")
    report = json.loads(doctor("check", *ON_PAPER, "--format", "json", VIRTUAL_ENV=str(venv.root)).out)
    assert report["environment"]["choice"]["origin"] == "VIRTUAL_ENV"
    assert report["environment"]["choice"]["python"] == venv.python
    assert report["judged_as"] == "plain language model (no code given)"


def test_missing_package_of_the_active_environment_is_installed_there(doctor: Doctor, venv: Venv) -> None:
    ran = doctor("check", *ON_PAPER, VIRTUAL_ENV=str(venv.root))
    assert ran.code == 1
    assert f"uv pip install --python {venv.python} torch==" in ran.out


def test_stale_active_environment_ends_with_2(doctor: Doctor, tmp_path: Path) -> None:
    ran = doctor("check", VIRTUAL_ENV=str(tmp_path / "gone"))
    assert (ran.code, ran.out) == (2, "")
    assert f"VIRTUAL_ENV says that {tmp_path / 'gone'} is the active environment, but it does not exist." in ran.err


def test_doctor_in_an_environment_of_its_own_examines_nothing_and_names_the_projects(tmp_path: Path) -> None:
    own = make_venv(tmp_path / "cache" / "uv" / "archive-v0" / "abc")
    project = tmp_path / "project"
    make_venv(project / ".venv")
    # The doctor's packages, without installing them: what matters is where the interpreter lies.
    paths = os.pathsep.join([str(Path(vc2doctor.__file__).parents[1]), *sysconfig.get_paths().values()])
    hidden = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    ran = subprocess.run(
        [own.python, "-m", "vc2doctor", "check"],
        cwd=project,
        env={**hidden, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3, ran.stderr
    assert "VC001 error  no environment was chosen, so none was examined" in ran.stdout
    assert f"made by uvx, has no torch and no transformers and no peft: {own.root}" in ran.stdout
    assert "        vc2doctor check --python .venv\n" in ran.stdout
    assert "pip install" not in ran.stdout
    assert ran.stdout.startswith("! No environment was chosen, so none was examined. 1 error.")


def test_json_report_has_verdict_exit_code_and_schema(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, "--python", venv.python, "--format", "json")
    report = json.loads(ran.out)
    assert (report["verdict"], report["exit_code"], report["schema"]) == ("fit", 0, 2)


def test_output_files_get_the_report_each_in_its_format_and_the_terminal_shows_the_text(
    doctor: Doctor, venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    names = ("report.json", "report.sarif", "junit.xml", "report.md", "gl-code-quality-report.json", "report.log")
    outputs = [word for name in names for word in ("--output", name)]
    ran = doctor(
        *("check", *ON_PAPER, "--python", venv.python, *outputs, "--output", "gitlab:quality.dat"), cwd=tmp_path
    )
    assert ran.code == 0, ran.err
    assert ran.out.startswith("! Fit to train under bf16 by versions alone")
    assert ran.err.splitlines()[-7:] == [f"The report is in {name}." for name in (*names, "quality.dat")]
    starts = ("{\n", "{\n", "<?xml", "## ", "[", "! Fit", "[")
    for name, start in zip((*names, "quality.dat"), starts, strict=True):
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start), name
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["verdict"] == "fit"
    assert json.loads((tmp_path / "report.sarif").read_text(encoding="utf-8"))["version"] == "2.1.0"


def test_a_file_without_a_known_suffix_has_the_format_of_standard_output(
    doctor: Doctor, venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    options = ("--python", venv.python, "--format", "json", "--output", "report")
    ran = doctor("check", *ON_PAPER, *options, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == json.loads((tmp_path / "report").read_text(encoding="utf-8"))


def test_a_report_that_goes_to_standard_output_itself_is_not_printed_twice(
    doctor: Doctor, venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, "--python", venv.python, "--output", "json:/dev/stdout", cwd=tmp_path)
    assert json.loads(ran.out)["verdict"] == "fit"
    assert "! Fit to train under bf16 by versions alone" in ran.err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nosuch:report", "there is no format 'nosuch'; choose from text, "),
        ("json:", "names no file behind the colon"),
        ("/nowhere/report.json", "/nowhere/report.json: cannot be written"),
        ("work", "work: cannot be written: Is a directory"),
        ("text:./first.json", "first.json is named twice, and one content would replace the other"),
    ],
)
def test_output_that_cannot_be_written_ends_with_2_before_the_probe_runs(
    doctor: Doctor, venv: Venv, tmp_path: Path, output: str, message: str
) -> None:
    sign = tmp_path / "sign"
    venv.add_stack(torch=f"open({str(sign)!r}, 'w')")
    ran = doctor(
        *("check", "--python", venv.python, "--output", "first.json", "--output", output),
        cwd=tmp_path,
    )
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert not sign.exists()
    assert not (tmp_path / "first.json").exists()


def test_report_does_not_replace_the_baseline(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    options = ("--baseline", "known.json", "--output", "json:./known.json")
    ran = doctor("check", "--no-probe", "--python", venv.python, *options, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "known.json is named twice" in ran.err
    ran = doctor("lint", ".", "--update-baseline", *options, cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert not (tmp_path / "known.json").exists()


def test_job_summary_is_added_to_what_the_step_wrote_before(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    options = ("check", *ON_PAPER, "--python", venv.python, "--job-summary", "--format", "github")
    ran = doctor(*options, GITHUB_STEP_SUMMARY=str(summary))
    assert ran.code == 0, ran.err
    assert ran.out.startswith("::notice title=vc2doctor check%3A fit::Fit to train under bf16")
    assert summary.read_text(encoding="utf-8").startswith("before\n## ✅ vc2doctor check: fit\n")
    assert "GITHUB_STEP_SUMMARY names no file" in doctor(*options, GITHUB_STEP_SUMMARY="").err


def test_crash_in_the_target_is_a_finding(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack(torch="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    ran = doctor("check", "--python", venv.python)
    assert ran.code == 1
    assert "VC011 error" in ran.out
    assert "SIGSEGV" in ran.out
    assert "Traceback" not in ran.err


def test_hang_in_the_target_leaves_the_examination_unfinished(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack(torch="import time; time.sleep(60)")
    ran = doctor("check", "--python", venv.python, "--timeout", "1")
    assert ran.code == 3
    assert "The examination could not be finished." in ran.out


def test_shadowing_file_is_named(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    (tmp_path / "torch.py").touch()
    ran = doctor("check", *ON_PAPER, "--python", venv.python, cwd=tmp_path)
    assert ran.code == 1
    assert f"imports {tmp_path / 'torch.py'} instead of the package torch" in ran.out


def test_baseline_that_was_written_is_named_with_what_it_never_holds(
    doctor: Doctor, venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    words = (*ON_PAPER, "--python", venv.python, "--baseline", "known.json", "--update-baseline")
    ran = doctor("check", *words, cwd=tmp_path)
    assert "The baseline known.json was written. It has " in ran.err
    assert "It never holds findings about a machine or a run (VC009)" in ran.err
    assert (tmp_path / "known.json").is_file()


def test_required_gpu_that_is_missing_is_an_error(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, "--python", venv.python, "--require", "gpu", CUDA_VISIBLE_DEVICES="-1")
    assert ran.code == 1
    assert "VC009 error" in ran.out


def test_fp16_is_an_alias_of_fp16_scaled(doctor: Doctor, venv: Venv) -> None:
    venv.add_stack()
    ran = doctor("check", *ON_PAPER, "--python", venv.python, "--precision", "fp16")
    assert ran.code == 1
    assert "Not fit to train under fp16-scaled." in ran.out


def test_settings_are_read_and_the_command_line_takes_precedence(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.vc2doctor]\nprecision = 'fp16'\n")
    options = ("check", *ON_PAPER, "--python", venv.python)
    ran = doctor(*options, cwd=tmp_path)
    assert ran.code == 1
    assert f"Not fit to train under fp16-scaled. {file} sets precision fp16-scaled." in ran.out
    assert doctor(*options, "--precision", "bf16", cwd=tmp_path).code == 0
    assert doctor(*options, "--isolated", cwd=tmp_path).code == 0


def test_hostile_checkout_chooses_neither_what_is_written_nor_the_matrix(
    doctor: Doctor, venv: Venv, tmp_path: Path
) -> None:
    venv.add_stack()
    checkout = tmp_path / "checkout"
    for folder in ("known_issues", "profiles", "evidence"):
        (checkout / "m" / folder).mkdir(parents=True)
    payload = "\nimport os; open('/tmp/proof', 'w')\n"
    (checkout / "m" / "known_issues" / "x.toml").write_text(f'id = "x"\ntitle = """{payload}"""\n')
    output = venv.packages / "x.pth"
    (checkout / "pyproject.toml").write_text(
        f'[tool.vc2doctor]\nmatrix = "m"\noutput = "{output}"\nprobe = false\npython = "/bin/false"\n'
    )
    ran = doctor("check", "--python", venv.python, "--timeout", "60", cwd=checkout)
    assert not output.exists()
    assert "VC021 warning" in ran.out
    assert "were ignored: matrix, output, probe, python" in ran.out
    assert "  Probe" in ran.out, "the probe ran although the file turns it off"
    chosen = doctor("check", "--config", "pyproject.toml", cwd=checkout)
    assert chosen.code == 2, "the matrix of the file is not valid"
    assert "x.toml" in chosen.err
    assert not output.exists()


def test_trusted_settings_file_may_turn_the_probe_off(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctor]\nprobe = false\naccept = 'inferred'\n")
    ran = doctor("check", "--python", venv.python, "--trust-settings", cwd=tmp_path)
    assert (ran.code, "VC021" in ran.out, "  Probe" in ran.out) == (0, False, False)
    ran = doctor("check", "--isolated", "--trust-settings", cwd=tmp_path)
    assert ran.code == 2
    assert "--isolated reads no settings file" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--python", "/nowhere/python"), "there is no such interpreter"),
        (("--profile", "nobody"), "there is no profile 'nobody'"),
        (("--precision", "fp8"), "Invalid value for '--precision'"),
        (("--device", "tpu"), "'tpu' is not one of auto, cpu, cuda:0"),
        (("--timeout", "0"), "Invalid value for '--timeout'"),
        (("--matrix", "/nowhere"), "/nowhere: not a matrix"),
        (("--nonsense",), "No such option"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_message(doctor: Doctor, arguments: tuple[str, ...], message: str) -> None:
    ran = doctor("check", *arguments)
    assert ran.code == 2, ran.out
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_wrong_settings_file_ends_with_2(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.vc2doctor]\nnonsense = '/bin/sh'\n")
    ran = doctor("check", cwd=tmp_path)
    assert ran.code == 2
    assert f"{tmp_path / 'pyproject.toml'}: [tool.vc2doctor] unknown setting 'nonsense'." in ran.err


def test_other_matrix_is_used_once_it_is_compiled(doctor: Doctor, venv: Venv, tmp_path: Path) -> None:
    venv.add_stack()
    other_matrix = tmp_path / "matrix"
    (other_matrix / "profiles").mkdir(parents=True)
    profile = load.shipped() / "profiles" / "videochat2-mistral.toml"
    text = profile.read_text(encoding="utf-8").replace("videochat2-mistral", "mine")
    (other_matrix / "profiles" / "mine.toml").write_text(text, encoding="utf-8")
    options = ("check", *ON_PAPER, "--python", venv.python, "--matrix", str(other_matrix), "--profile", "mine")
    not_compiled = doctor(*options)
    assert not_compiled.code == 2
    assert f"vc2doctor matrix compile --matrix {other_matrix}" in not_compiled.err
    assert doctor("matrix", "compile", "--matrix", str(other_matrix)).code == 0
    ran = doctor(*options)
    assert ran.code == 3, "nothing was measured in that matrix, so nothing is proven"
    assert "profile mine" in ran.out


@pytest.mark.parametrize("kind", ["profile", "known_issue", "evidence", "report"])
def test_schemas_are_exported(doctor: Doctor, kind: str) -> None:
    assert json.loads(doctor("schema", kind).out)["$schema"].startswith("https://json-schema.org")


def test_explain_prints_the_page_of_a_check(doctor: Doctor) -> None:
    ran = doctor("explain", "vc005")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "A known defect applies to the installed versions.")
    unknown = doctor("explain", "VC999")
    assert unknown.code == 2
    assert "without a name lists all" in unknown.err


def test_help_and_version_are_printed(doctor: Doctor) -> None:
    assert "--fail-on" in doctor("check", "--help").out
    assert doctor("--version").out.startswith("vc2doctor, version ")


def test_doctor_imports_no_package_of_the_stack(venv: Venv) -> None:
    venv.add_stack()
    source = (
        "import sys, vc2doctor.cli.main as c\n"
        "try: c.cli(['check', '--no-probe', '--python', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules)\n"
        # What a check by versions does not need costs it a few hundredths of its time each.
        "slow = {'xml.etree', 'rich', 'yaml', 'vc2doctor.matrix.bundle', 'vc2doctor.remedies.native_libraries'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    process = subprocess.run([sys.executable, "-c", source, venv.python], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_examination_is_reported_and_leaves_no_child(venv: Venv, tmp_path: Path, number: int) -> None:
    pid_file = tmp_path / "pid"
    venv.add_stack(torch=f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    command = [sys.executable, "-m", "vc2doctor", "check", "--python", venv.python]
    # If the tests run in the background of a shell or under nohup, SIGINT is ignored, also in child processes.
    handler_before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    finally:
        signal.signal(signal.SIGINT, handler_before)
    with process:
        wait_for(lambda: pid_file.exists() and pid_file.read_text() != "")
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "it was interrupted" in out
    assert "importing torch" in out
    assert "Traceback" not in err
    wait_for(lambda: not Path(f"/proc/{pid_file.read_text()}").exists())


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("the condition was not met in 20 s")


def test_progress_is_shown_on_a_terminal_only(venv: Venv, tmp_path: Path) -> None:
    venv.add_stack(torch="import time; time.sleep(1); raise ImportError('no')")
    command = [sys.executable, "-m", "vc2doctor", "check", "--fresh", "--python", venv.python]
    without_terminal = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "\x1b" not in without_terminal.stderr
    screen, terminal = pty.openpty()
    try:
        environment = {**os.environ, "TERM": "xterm-256color"}
        with_terminal = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, env=environment, check=False, cwd=tmp_path
        )
        assert b"importing torch" in os.read(screen, 65536)
        assert b"importing torch" not in with_terminal.stdout
    finally:
        os.close(screen)
        os.close(terminal)


def test_markup_in_an_event_is_shown_as_text_and_the_time_limit_holds(venv: Venv, tmp_path: Path) -> None:
    pipe = "next(thing for thing in gc.get_objects() if type(thing).__name__ == 'EventPipe')"
    emit = f"{pipe}.emit('importing', package='[/nope] [red]torch')"
    venv.add_stack(torch=f"import gc, time\n{emit}\ntime.sleep(60)")
    screen, terminal = pty.openpty()
    try:
        command = [sys.executable, "-m", "vc2doctor", "check", "--python", venv.python, "--timeout", "3"]
        with_terminal = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=terminal, timeout=40, check=False, cwd=tmp_path, text=True
        )
        assert b"importing [/nope] [red]torch" in os.read(screen, 65536)
    finally:
        os.close(screen)
        os.close(terminal)
    assert with_terminal.returncode == 3
    assert "importing [/nope] [red]torch" in with_terminal.stdout
