"""``vc2doctor lint --fix``: exit codes, the patch on stdout, refusals on stderr, and the hardware."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.linter.test_programs import GPU_PROGRAMS, PROGRAMS, committed, copied, git, texts
from vc2doctor.matrix.gpus import load_gpus
from vc2doctor.matrix.load import shipped

SWITCH = ("lint", "--precision", "bf16", "--fix")


def test_diff_of_a_subfolder_applies_from_the_root_of_the_repository(
    tmp_path: Path, doctor: Callable[..., Ran]
) -> None:
    shutil.copytree(PROGRAMS / "hf_arguments" / "before", tmp_path / "repo" / "a folder" / "code")
    repository = committed(tmp_path / "repo")
    ran = doctor(*SWITCH, "--diff", "code", cwd=repository / "a folder")
    assert (ran.code, ran.err) == (0, "")
    (tmp_path / "p.diff").write_text(ran.out, encoding="utf-8")
    git(repository, "apply", str(tmp_path / "p.diff"))
    assert texts(repository / "a folder" / "code") == texts(PROGRAMS / "hf_arguments" / "after")
    again = doctor(*SWITCH, "--diff", "code", cwd=repository / "a folder")
    assert (again.code, again.out, again.err) == (0, "", "Nothing has to change, so there is no patch.\n")
    git(repository, "apply", "-R", str(tmp_path / "p.diff"))
    assert texts(repository / "a folder" / "code") == texts(PROGRAMS / "hf_arguments" / "before")


def test_refusal_of_a_diff_is_on_stderr_and_ends_with_1(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    folder = copied("refused_gptq", tmp_path)
    ran = doctor(*SWITCH, "--diff", cwd=folder)
    assert ran.code == 1
    assert "-python finetune.py --path Qwen/Qwen-7B --fp16 True\n" in ran.out
    assert "Int4" not in ran.out
    assert "finetune.py (qlora.sh) was not changed" in ran.err
    assert "Leave this program in float16" in ran.err


def test_fix_ends_as_lint_does_and_tells_how_to_undo(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    ran = doctor(*SWITCH, cwd=folder)
    assert ran.code == 0
    assert "train.py is bfloat16 now." in ran.out
    assert f"git -C {folder} checkout HEAD -- train.py" in ran.out
    assert texts(folder) == texts(PROGRAMS / "qlora_with_trainer" / "after")


def test_refused_fix_writes_nothing_and_ends_with_1(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    folder = copied("refused_apex", tmp_path)
    ran = doctor(*SWITCH, cwd=folder)
    assert ran.code == 1
    assert "train.py was not changed, because the switch would not be complete:" in ran.out
    assert "apex's amp knows float16 only" in ran.out
    assert texts(folder) == texts(PROGRAMS / "refused_apex" / "before")


def test_dirty_tree_is_refused_and_allow_dirty_writes(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    folder = committed(copied("qlora_with_trainer", tmp_path))
    path = folder / "train.py"
    path.write_text(path.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    ran = doctor(*SWITCH, cwd=folder)
    assert ran.code == 1
    assert "pass --allow-dirty" in ran.out
    ran = doctor(*SWITCH, "--allow-dirty", cwd=folder)
    assert ran.code == 0
    assert "git cannot restore" in ran.out
    assert "checkout" not in ran.out, "git would throw the uncommitted change away"
    assert "bf16=True" in path.read_text(encoding="utf-8")


def test_gpu_without_bfloat16_gets_float16_with_loss_scaling(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    folder = Path(shutil.copytree(GPU_PROGRAMS / "trainer" / "before", tmp_path / "trainer"))
    ran = doctor("lint", "--fix", "--gpu", "Tesla T4", cwd=folder)
    assert "train.py is float16 with loss scaling now." in ran.out
    assert texts(folder) == texts(GPU_PROGRAMS / "trainer" / "after")


def test_gpu_with_bfloat16_chooses_it(tmp_path: Path, doctor: Callable[..., Ran]) -> None:
    folder = copied("qlora_with_trainer", tmp_path)
    assert doctor("lint", "--fix", "--gpu", "a100", cwd=folder).code == 0
    assert texts(folder) == texts(PROGRAMS / "qlora_with_trainer" / "after")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fix", "--gpu", "Voodoo 2"), "there is no GPU 'Voodoo 2' in the table"),
        (
            ("--fix", "--gpu", "V100", "--precision", "bf16"),
            "V100 has compute capability 7.0 and only emulates bfloat16",
        ),
        (("--gpu", "T4"), "--gpu says what --fix changes the code to"),
    ],
)
def test_wrong_gpu_ends_with_2(arguments: tuple[str, ...], message: str, doctor: Callable[..., Ran]) -> None:
    ran = doctor("lint", *arguments)
    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("T4", (7, 5)),
        ("Tesla V100-SXM2-32GB", (7, 0)),
        ("NVIDIA A100-SXM4-80GB", (8, 0)),
        ("GeForce RTX 3090", (8, 6)),
        ("rtx4090", (8, 9)),
        ("Quadro RTX 8000", (7, 5)),
        ("RTX 12345", None),
    ],
)
def test_names_of_gpus_are_found_as_people_write_them(name: str, capability: tuple[int, int] | None) -> None:
    assert load_gpus(shipped()).capability(name) == capability
