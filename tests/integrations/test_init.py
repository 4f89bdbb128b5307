"""What ``vc2doctor init`` writes: executed where it can be, and otherwise validated. docs/ci.md says which is which."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.conftest import Ran, Venv, make_venv, run_doctor
from vc2doctor.commands import integrations
from vc2doctor.commands.init import InitError, default_branch, init
from vc2doctor.commands.integrations import INTEGRATIONS, TEMPLATES
from vc2doctor.core.writing import OutputError

ROOT = Path(__file__).parents[2]
BY_NAME = {integration.name: integration for integration in INTEGRATIONS}
Doctor = Callable[..., Ran]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with an environment whose versions were measured to train, and with code without a fault."""
    folder = tmp_path / "project"
    folder.mkdir()
    make_venv(folder / ".venv").add_stack()
    (folder / "train.py").write_text("import torch\n")
    (folder / "requirements.txt").write_text("")
    return folder


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Environment variables with a ``vc2doctor`` on PATH, and in the places where the templates install it."""
    script = f"#!{sys.executable}\nfrom vc2doctor.__main__ import main\n\nmain()\n"
    for folder in (tmp_path / "bin", tmp_path / "runner" / "vc2doctor" / "bin"):
        folder.mkdir(parents=True)
        (folder / "vc2doctor").write_text(script)
        (folder / "vc2doctor").chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    return {
        **inherited,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CUDA_VISIBLE_DEVICES": "-1",
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


def run(command: list[str], folder: Path, variables: dict[str, str]) -> Ran:
    ran = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def step(file: Path, name: str) -> dict[str, Any]:
    """Return the step called ``name`` of a workflow or an action."""
    steps: Iterator[dict[str, Any]] = (each for each in _steps(yaml.safe_load(file.read_text())))
    return next(each for each in steps if each.get("name") == name)


def _steps(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    jobs = [document["runs"]] if "runs" in document else document["jobs"].values()
    return (each for job in jobs for each in job["steps"])


def test_project_gets_what_its_files_ask_for(tmp_path: Path) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / "tox.ini").write_text("[tox]\n")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "run.sh").write_text("#!/bin/bash\n#SBATCH --nodes=1\n")
    shown = {proposal.name: proposal for proposal in init(tmp_path, (), write=False).proposals}
    assert set(shown) == {"github", "tox", "slurm-prolog", "slurm-job"}
    assert shown["slurm-job"].sign == "scripts/run.sh"
    assert (shown["tox"].exists, shown["github"].exists) == (True, False)
    assert not any(proposal.is_written for proposal in shown.values())
    assert not (tmp_path / ".github" / "workflows").exists(), "to show writes nothing"


def test_files_are_written_and_none_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "tox.ini").write_text("mine\n")
    report = init(tmp_path, tuple(BY_NAME), write=True)
    assert report.exit_code == 1
    assert (tmp_path / "tox.ini").read_text() == "mine\n"
    for proposal in report.proposals:
        assert proposal.is_written is not proposal.exists
        assert proposal.is_written is (proposal.name != "tox")
        if proposal.is_written:
            assert (tmp_path / proposal.path).read_text() == BY_NAME[proposal.name].text
    assert os.access(tmp_path / BY_NAME["slurm-job"].path, os.X_OK)
    assert init(tmp_path, ("github",), write=True).proposals[0].exists, "the second time nothing is left to write"


def test_last_line_writes_what_was_shown_and_nothing_if_all_is_there(doctor: Doctor, tmp_path: Path) -> None:
    shown = doctor("init", "github", "gitlab", cwd=tmp_path)
    assert shown.out.splitlines()[-1].endswith(": vc2doctor init github gitlab --write")
    assert doctor("init", "github", "gitlab", "--write", cwd=tmp_path).code == 0
    again = doctor("init", "github", "gitlab", cwd=tmp_path)
    assert again.out.splitlines()[-1] == "The project has all of these files, so there is nothing to write."


def test_second_run_finds_identical_files_and_a_changed_one_is_still_shown(doctor: Doctor, tmp_path: Path) -> None:
    assert doctor("init", "github", "gitlab", "--write", cwd=tmp_path).code == 0
    again = doctor("init", "github", "gitlab", "--write", cwd=tmp_path)
    assert (again.code, again.out.count("  already there, identical\n"), len(again.out.splitlines())) == (0, 2, 4)
    (tmp_path / BY_NAME["gitlab"].path).write_text("mine\n")
    changed = doctor("init", "github", "gitlab", "--write", cwd=tmp_path)
    assert (changed.code, changed.out.count("already there, identical")) == (1, 1)
    assert "Add what you need of the following by hand." in changed.out


def git(folder: Path, *words: str) -> None:
    subprocess.run([program("git"), "-C", str(folder), *words], check=True, capture_output=True)


def test_workflow_names_the_branch_of_the_repository(tmp_path: Path) -> None:
    assert default_branch(tmp_path) == "main", "no checkout"
    git(tmp_path, "init", "--quiet", "--initial-branch", "trunk")
    (text,) = [each.text for each in init(tmp_path, ("github",), write=False).proposals]
    assert yaml.safe_load(text)[True]["push"]["branches"] == ["trunk"]
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-m", "first")
    git(tmp_path, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/release/2.x")
    git(tmp_path, "worktree", "add", "-b", "topic", str(tmp_path / "tree"))
    assert default_branch(tmp_path) == "release/2.x", "changes go to the branch of the origin"
    assert default_branch(tmp_path / "tree") == "release/2.x"
    (tmp_path / ".git" / "refs" / "remotes" / "origin" / "HEAD").unlink()
    assert default_branch(tmp_path / "tree") == "topic"


@pytest.mark.parametrize("name", BY_NAME)
def test_template_says_what_to_install_before_the_release_and_shows_the_gate(name: str) -> None:
    text = BY_NAME[name].text
    assert "VC2DOCTOR" in text or "release" in text
    if name not in ("github-cells", "pre-commit", "devcontainer"):
        assert "gate" in text
        assert "--baseline" in text or name == "slurm-prolog"


def test_link_is_not_followed_to_write_somewhere_else(tmp_path: Path) -> None:
    (tmp_path / "noxfile.py").symlink_to(tmp_path / "elsewhere.py")
    assert init(tmp_path, ("nox",), write=True).exit_code == 1
    assert not (tmp_path / "elsewhere.py").exists()


def test_command_shows_by_default_and_names_what_there_is(doctor: Doctor, tmp_path: Path) -> None:
    bare = doctor("init", cwd=tmp_path)
    assert bare.code == 0
    assert all(name in bare.out for name in BY_NAME)
    shown = doctor("init", "gitlab", cwd=tmp_path)
    assert "The tests of vc2doctor only validate this file" in shown.out
    assert "    vc2doctor:\n" in shown.out
    assert list(tmp_path.iterdir()) == [tmp_path / "work"]
    with pytest.raises(InitError, match="there is no integration 'jenkins'"):
        init(tmp_path, ("jenkins",), write=False)


def test_every_template_is_that_of_one_integration_and_the_help_names_each(doctor: Doctor) -> None:
    files = {path.name for path in TEMPLATES.iterdir() if path.is_file()}
    assert files == {integration.template for integration in INTEGRATIONS}
    text = " ".join(doctor("init", "--help").out.split())
    assert f"Names: {', '.join(BY_NAME)}." in text.replace("github- cells", "github-cells")


def test_workflow_of_github_checks_and_writes_its_reports(project: Path, variables: dict[str, str]) -> None:
    check = step(TEMPLATES / "github.yml", "Check")["run"].replace("check ", "check --no-probe --accept inferred ")
    ran = run(["bash", "-eo", "pipefail", "-c", check], project, variables)
    assert ran.code == 0, ran.out + ran.err
    assert json.loads((project / "vc2doctor.sarif").read_text())["version"] == "2.1.0"
    assert "vc2doctor" in Path(variables["GITHUB_STEP_SUMMARY"]).read_text()


def test_workflow_of_github_uploads_nothing_that_is_hidden(tmp_path: Path) -> None:
    program("jq")
    hidden = {"ruleId": "VC104", "suppressions": [{"kind": "external", "status": "accepted", "justification": "x"}]}
    results = [hidden, {"ruleId": "VC105"}, hidden]
    (tmp_path / "vc2doctor.sarif").write_text(json.dumps({"runs": [{"results": results}]}))
    command = step(TEMPLATES / "github.yml", "Leave out what a baseline or the policy hides")["run"]
    assert run(["bash", "-eo", "pipefail", "-c", command], tmp_path, dict(os.environ)).code == 0
    uploaded = json.loads((tmp_path / "upload.sarif").read_text())
    assert uploaded == {"runs": [{"results": [{"ruleId": "VC105"}]}]}


@pytest.mark.parametrize(
    ("arguments", "code"), [("--no-probe --accept inferred", 0), ("--no-probe --require gpu", 1), ("--nowhere", 2)]
)
def test_action_checks_with_its_inputs(project: Path, variables: dict[str, str], arguments: str, code: int) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    check = step(ROOT / "action.yml", "Check")
    names = {value.split(".")[1].split()[0]: name for name, value in check["env"].items()}
    assert set(names) == set(action["inputs"])
    values = {names[name]: settings["default"] for name, settings in action["inputs"].items()}
    values[names["arguments"]] = arguments
    values[names["sarif"]] = "my report.sarif"
    ran = run(["bash", "-eo", "pipefail", "-c", check["run"]], project, {**variables, **values})
    assert ran.code == code, ran.out + ran.err
    assert (project / "my report.sarif").exists() is (code != 2)


def test_input_of_the_action_is_never_code(project: Path, variables: dict[str, str]) -> None:
    check = step(ROOT / "action.yml", "Check")
    assert "${{" not in check["run"]
    values = dict.fromkeys(check["env"], "$(touch owned); touch owned")
    ran = run(["bash", "-eo", "pipefail", "-c", check["run"]], project, {**variables, **values})
    assert ran.code == 2
    assert not (project / "owned").exists()


@pytest.mark.stack
def test_action_installs_the_doctor(project: Path, variables: dict[str, str], tmp_path: Path) -> None:
    install = step(ROOT / "action.yml", "Install vc2doctor beside the environment")["run"]
    runner = {**variables, "RUNNER_TEMP": str(tmp_path / "fresh"), "GITHUB_ACTION_PATH": str(ROOT)}
    ran = run(["bash", "-eo", "pipefail", "-c", install], project, runner)
    assert ran.code == 0, ran.err
    version = run([str(tmp_path / "fresh" / "vc2doctor" / "bin" / "vc2doctor"), "--version"], project, runner)
    assert version.out.startswith("vc2doctor, version")


@pytest.mark.stack
@pytest.mark.parametrize("source", ["template", "hooks of the repository"])
def test_pre_commit_refuses_code_that_contradicts_itself(
    project: Path, variables: dict[str, str], source: str, tmp_path: Path
) -> None:
    pre_commit = program("pre-commit")
    config = BY_NAME["pre-commit"].text.replace("[vc2doctor]", json.dumps([str(ROOT)]))
    if source != "template":
        revision = run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], project, variables).out.strip()
        config = json.dumps({"repos": [{"repo": str(ROOT), "rev": revision, "hooks": [{"id": "vc2doctor-lint"}]}]})
    (project / ".pre-commit-config.yaml").write_text(config)
    clean = {**variables, "PRE_COMMIT_HOME": str(tmp_path / "hooks")}
    del clean["PYTHONPATH"]
    run(["git", "init", "--quiet"], project, clean)
    run(["git", "add", "train.py"], project, clean)
    good = run([pre_commit, "run", "--all-files"], project, clean)
    assert good.code == 0, good.out + good.err
    shutil.copy(ROOT / "tests" / "linter" / "fixtures" / "rules" / "VC104" / "bad" / "train.py", project / "train.py")
    bad = run([pre_commit, "run", "--all-files"], project, clean)
    assert bad.code == 1, bad.out + bad.err
    assert "VC104" in bad.out


def test_session_of_nox_checks(project: Path, variables: dict[str, str]) -> None:
    (project / "noxfile.py").write_text(BY_NAME["nox"].text)
    ran = run(
        [sys.executable, "-m", "nox", "--no-color", "-s", "doctor", "--", "--no-probe", "--accept", "inferred"],
        project,
        variables,
    )
    assert ran.code == 0, ran.out + ran.err
    assert "Fit to train" in ran.out or "fit" in ran.out.lower()


def test_environment_of_tox_is_checked(project: Path, variables: dict[str, str]) -> None:
    (project / "tox.ini").write_text(BY_NAME["tox"].text)
    ran = run([program("tox"), "-e", "vc2doctor", "--", "--no-probe", "--accept", "inferred"], project, variables)
    assert ran.code == 1, ran.out + ran.err
    assert "torch, transformers and peft are not installed" in ran.out, "the environment that tox made is empty"


@pytest.mark.parametrize(("has_stack", "code"), [(True, 0), (False, 1), (None, 0)])
def test_task_prolog_of_slurm_ends_only_a_task_that_is_not_fit(
    project: Path, variables: dict[str, str], has_stack: bool | None, code: int
) -> None:
    environment = {True: str(project / ".venv"), None: str(project / "nowhere")}.get(has_stack)
    if environment is None:
        environment = str(make_venv(project / "empty").root)
    prolog = {**variables, "VC2DOCTOR_PYTHON": environment}
    ran = run(["bash", str(TEMPLATES / BY_NAME["slurm-prolog"].template)], project, prolog)
    assert ran.code == code, ran.out + ran.err
    assert ran.out
    assert all(line.startswith("print ") for line in ran.out.splitlines()), "Slurm shows these lines to the user"


def test_task_prolog_without_an_environment_checks_nothing(project: Path, variables: dict[str, str]) -> None:
    variables.pop("VC2DOCTOR_PYTHON", None)
    ran = run(["bash", str(TEMPLATES / BY_NAME["slurm-prolog"].template)], project, variables)
    assert (ran.code, ran.out) == (0, "")


def test_slurm_job_asks_for_the_gpu_that_its_gate_requires() -> None:
    text = BY_NAME["slurm-job"].text
    assert "gate --require gpu" in text
    assert "\n#SBATCH --gres=gpu:1\n" in text


@pytest.mark.parametrize("more", ["", "--config 'a b.toml'"])
def test_slurm_job_passes_its_options_on_also_if_there_are_none(more: str, tmp_path: Path) -> None:
    for name, text in {"srun": '#!/bin/sh\nprintf "%s\\n" "$@"\n', ".venv/bin/activate": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "job.sh").write_text(BY_NAME["slurm-job"].text.replace("options=()", f"options=({more})"))
    ran = run(["bash", "job.sh", "--bf16"], tmp_path, {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    words = ["--config", "a b.toml"] if more else []
    gate = ["--kill-on-bad-exit=1", "vc2doctor", "gate", "--require", "gpu", *words]
    assert ran.out.splitlines() == [*gate, "--", "python", "train.py", "--bf16"], ran.err


@pytest.mark.parametrize("name", ["slurm-prolog", "slurm-job"])
def test_shell_script_has_no_fault_of_syntax(name: str, tmp_path: Path) -> None:
    ran = run(["bash", "-n", str(TEMPLATES / BY_NAME[name].template)], tmp_path, dict(os.environ))
    assert (ran.code, ran.err) == (0, "")


SCHEMAS = {
    "github": "vendor.github-workflows",
    "github-cells": "vendor.github-workflows",
    "gitlab": "vendor.gitlab-ci",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_template_agrees_with_the_schema_of_its_system(name: str, tmp_path: Path) -> None:
    file = str(TEMPLATES / BY_NAME[name].template)
    command = [program("check-jsonschema"), "--builtin-schema", SCHEMAS[name], file]
    ran = run(command, tmp_path, dict(os.environ))
    assert ran.code == 0, ran.out + ran.err


def test_action_agrees_with_the_schema_of_github(tmp_path: Path) -> None:
    command = [program("check-jsonschema"), "--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")]
    ran = run(command, tmp_path, dict(os.environ))
    assert ran.code == 0, ran.out + ran.err


@pytest.mark.parametrize("name", ["kubernetes", "kueue"])
def test_manifest_of_kubernetes_checks_before_it_trains(name: str) -> None:
    document = yaml.safe_load(BY_NAME[name].text)
    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "Job")
    pod = document["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    first = (pod.get("initContainers") or pod["containers"])[0]
    assert first["command"][:2] in (["vc2doctor", "check"], ["vc2doctor", "gate"])
    assert _names_known_options(first["command"])


def test_step_of_argo_that_trains_comes_behind_the_check() -> None:
    document = yaml.safe_load(BY_NAME["argo"].text)
    templates = {template["name"]: template for template in document["spec"]["templates"]}
    groups = templates[document["spec"]["entrypoint"]]["steps"]
    assert [[each["template"] for each in group] for group in groups] == [["check"], ["train"]]
    check = templates["check"]["container"]
    assert _names_known_options([*check["command"], *check["args"]])


def test_dockerfile_and_devcontainer_call_the_doctor_with_options_that_exist() -> None:
    lines = BY_NAME["docker"].text.splitlines()
    assert lines[next(i for i, line in enumerate(lines) if not line.startswith("#"))].startswith("FROM ")
    (entry,) = [json.loads(line.removeprefix("ENTRYPOINT ")) for line in lines if line.startswith("ENTRYPOINT ")]
    assert _names_known_options(entry)
    container = json.loads(BY_NAME["devcontainer"].text)
    assert _names_known_options(container["postStartCommand"].split())


def _names_known_options(words: list[str]) -> bool:
    from vc2doctor.cli.main import cli  # noqa: PLC0415 - only these tests need the commands

    assert words[0] == "vc2doctor"
    command = cli.get_command(click.Context(cli, **cli.context_settings), words[1])
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    options = {word for word in words[2:] if word.startswith("--") and word != "--"}
    return options <= known


LAUNCHERS = {
    "torchrun": ["torchrun", "--nproc-per-node", "2", "train.py"],
    "accelerate": ["accelerate", "launch", "--cpu", "--num_processes", "1", "train.py"],
}


@pytest.mark.stack
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_gate_starts_a_launcher_on_the_cpu(
    stack_of: Callable[..., Path], project: Path, variables: dict[str, str], launcher: str
) -> None:
    target = os.environ.get("VC2DOCTOR_INTEGRATIONS_PYTHON")
    folder = Path(target).parent if target else stack_of(*noxfile_stack()) / "bin"
    (project / "train.py").write_text("import os, torch\nprint('trained on rank', os.environ.get('RANK', '0'))\n")
    command = [str(folder / LAUNCHERS[launcher][0]), *LAUNCHERS[launcher][1:]]
    ran = run(
        [sys.executable, "-m", "vc2doctor", "gate", "--no-probe", "--accept", "inferred", "--", *command],
        project,
        variables,
    )
    assert ran.code == 0, ran.err
    ranks = 2 if launcher == "torchrun" else 1
    assert sorted(line for line in ran.out.splitlines() if "trained on rank" in line) == [
        f"trained on rank {rank}" for rank in range(ranks)
    ]


def noxfile_stack() -> tuple[str, ...]:
    import noxfile  # noqa: PLC0415 - only one test needs it

    return noxfile.TRUTH_CELLS[0].requirements


def _entries(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("target", ["outside", "nosuch"])
def test_link_that_leads_out_of_the_project_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".github").symlink_to(Path("..") / target)
    with pytest.raises(InitError, match=r"\.github/workflows: a link leads out of the project"):
        init(folder, ["tox", "github"], write=True)
    assert _entries(tmp_path) == ["outside", "project", "project/.github"]


def test_link_within_the_project_is_followed(tmp_path: Path) -> None:
    (tmp_path / "ci").mkdir()
    (tmp_path / ".github").symlink_to("ci")
    assert init(tmp_path, ["github"], write=True).exit_code == 0
    assert (tmp_path / "ci" / "workflows" / "vc2doctor.yml").is_file()


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / ".github").write_text("")
    with pytest.raises(OutputError, match="Nothing was written"):
        init(tmp_path, ["slurm-job", "tox", "github"], write=True)
    assert _entries(tmp_path) == [".github"]


def test_integration_that_is_named_twice_is_written_once(tmp_path: Path) -> None:
    report = init(tmp_path, ["slurm-job", "slurm-job"], write=True)
    assert (report.exit_code, len(report.proposals)) == (0, 1)
    assert os.access(tmp_path / report.proposals[0].path, os.X_OK)


def test_signs_are_searched_in_few_files_of_a_large_project(tmp_path: Path) -> None:
    for number in range(integrations.MAX_SCRIPTS + 20):
        (tmp_path / f"f{number:04}.sh").write_text("echo\n")
    (tmp_path / "a.sh").write_text("#SBATCH --nodes=1\n")
    assert [each.name for each, _ in integrations.requested_by(tmp_path)] == ["slurm-prolog", "slurm-job"]


def test_project_with_a_damaged_file_is_read(venv: Venv, tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_bytes(b"\xff\xfe#SBATCH")
    os.mkfifo(tmp_path / "pipe.sh")
    names = [each.name for each, _ in integrations.requested_by(tmp_path)]
    assert names == ["slurm-prolog", "slurm-job"]
    assert run_doctor("init", cwd=venv.root).code == 0
