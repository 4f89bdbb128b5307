"""Installed packages that build upon the stack and use what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facts import distribution, environment
from vc2doctor.linter.dependents import DependentConflict, conflicts

REQUIRES = ("transformers>=4.34,<5", "torch>=2; extra == 'dev'")


def found(
    folder: Path, code: str, *, transformers: str = "4.53.1", requires: tuple[str, ...] = REQUIRES
) -> tuple[DependentConflict, ...]:
    """Return the conflicts of a package ``my-trainer`` with this code in ``trainer.py``."""
    package = folder / "my_trainer"
    package.mkdir()
    (package / "__init__.py").write_text("from my_trainer import trainer\n", encoding="utf-8")
    (package / "trainer.py").write_text(code, encoding="utf-8")
    packages = (
        distribution("my-trainer", "1.2.0", requires=requires, path=str(folder / "my_trainer-1.2.0.dist-info")),
        distribution("transformers", transformers),
    )
    return conflicts(environment(distributions=packages), modeled=("transformers",))


def test_an_import_that_the_installed_release_lacks_is_found_with_the_releases_that_have_it(tmp_path: Path) -> None:
    (conflict,) = found(tmp_path, "from transformers.trainer import ALL_LAYERNORM_LAYERS\n")
    assert conflict.package == "transformers"
    assert conflict.path == "my_trainer/trainer.py"
    assert conflict.line == 1
    assert conflict.works_with.endswith("<=4.52.4")
    assert "4.53.0 removed it" in conflict.description


def test_a_method_that_does_not_take_what_the_trainer_passes_is_found(tmp_path: Path) -> None:
    code = (
        "from transformers import Trainer\n\n\nclass MyTrainer(Trainer):\n"
        "    def compute_loss(self, model, inputs, return_outputs=False):\n        return model(**inputs).loss\n"
    )
    (conflict,) = found(tmp_path, code, transformers="4.46.0")
    assert "passes num_items_in_batch= to compute_loss" in conflict.description
    assert conflict.works_with == "<=4.45.2"


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    from transformers.trainer import ALL_LAYERNORM_LAYERS\nexcept ImportError:\n    pass\n",
        "def rarely():\n    from transformers.trainer import ALL_LAYERNORM_LAYERS\n",
        "from transformers import Trainer\n",
    ],
    ids=["guarded", "in a function", "a name that is there"],
)
def test_what_may_never_run_is_not_reported(code: str, tmp_path: Path) -> None:
    assert found(tmp_path, code) == ()


def test_a_use_that_no_release_allowed_by_the_package_has_is_on_a_branch_that_hardly_runs(tmp_path: Path) -> None:
    code = "from transformers.trainer import ALL_LAYERNORM_LAYERS\n"
    assert found(tmp_path, code, requires=("transformers>=4.53",)) == ()


def test_a_package_that_does_not_require_the_stack_is_not_read(tmp_path: Path) -> None:
    code = "from transformers.trainer import ALL_LAYERNORM_LAYERS\n"
    assert found(tmp_path, code, requires=("transformers>=4; extra == 'hf'", "not a requirement!")) == ()


def test_the_import_packages_are_those_of_the_list_of_files(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "trainer.py").write_text("from transformers.trainer import ALL_LAYERNORM_LAYERS\n")
    metadata = tmp_path / "my_trainer-1.2.0.dist-info"
    metadata.mkdir()
    (metadata / "RECORD").write_text("other/trainer.py,,\ntests/test_all.py,,\nmy_trainer-1.2.0.dist-info/RECORD,,\n")
    packages = (
        distribution("my-trainer", "1.2.0", requires=REQUIRES, path=str(metadata)),
        distribution("transformers", "4.53.1"),
    )
    (conflict,) = conflicts(environment(distributions=packages), modeled=("transformers",))
    assert conflict.path == "other/trainer.py"


def test_a_module_with_the_name_of_a_training_package_within_a_package_hides_nothing(tmp_path: Path) -> None:
    code = "from transformers.trainer import ALL_LAYERNORM_LAYERS\n"
    configs = tmp_path / "my_trainer" / "configs"
    configs.mkdir(parents=True)
    (configs / "__init__.py").write_text("")
    (configs / "transformers.py").write_text("layers = 2\n")
    (tmp_path / "my_trainer" / "__init__.py").write_text("from my_trainer import trainer\n")
    (tmp_path / "my_trainer" / "trainer.py").write_text(code)
    packages = (
        distribution("my-trainer", "1.2.0", requires=REQUIRES, path=str(tmp_path / "my_trainer-1.2.0.dist-info")),
        distribution("transformers", "4.53.1"),
    )
    (conflict,) = conflicts(environment(distributions=packages), modeled=("transformers",))
    assert conflict.path == "my_trainer/trainer.py"


@pytest.mark.parametrize(
    ("line", "method", "found_there"),
    [
        ("super().__init__(tokenizer=None)", "__init__", True),
        ("print(self.args.save_safetensors)", "_save", True),
        ("print(self.args.save_safetensors)", "of_my_own", False),
        ("if self.is_old:\n            super().__init__(tokenizer=None)", "__init__", False),
        (
            "try:\n            print(self.args.save_safetensors)\n        except AttributeError:\n            pass",
            "_save",
            False,
        ),
    ],
)
def test_what_a_method_uses_counts_if_each_training_runs_it(
    tmp_path: Path, line: str, method: str, *, found_there: bool
) -> None:
    head = "from transformers import Trainer\n\n\nclass Mine(Trainer):\n"
    code = f"{head}    def {method}(self, *args, **kwargs):\n        {line}\n"
    conflicts = found(tmp_path, code, transformers="5.23.0", requires=("transformers",))
    assert [each.owner for each in conflicts] == (["Mine"] if found_there else [])


def test_code_meets_a_failing_import_by_the_package_and_a_failing_method_by_its_class(tmp_path: Path) -> None:
    (name,) = found(tmp_path, "from transformers.trainer import ALL_LAYERNORM_LAYERS\n")
    assert name.imported_by == ("my_trainer", "my_trainer.trainer")
    assert name.is_met_by({"my_trainer:Anything"})
    assert not name.is_met_by({"transformers:Trainer"})
    method = name.model_copy(update={"imported_by": (), "owner": "Mine"})
    assert method.is_met_by({"my_trainer.trainer:Mine"})
    assert not method.is_met_by({"my_trainer:Other"})
    submodule = name.model_copy(update={"imported_by": ("my_trainer.training",)})
    assert submodule.is_met_by({"my_trainer:training"})
    assert submodule.is_met_by({"my_trainer.training.deeper:X"})
    assert not submodule.is_met_by({"my_trainer:Model"})


def test_one_change_fixes_all_uses_and_a_row_of_few_releases_is_passed_over(tmp_path: Path) -> None:
    code = (
        "from transformers import Trainer\n\n\nclass Mine(Trainer):\n"
        "    def __init__(self):\n        super().__init__(tokenizer=None)\n\n"
        "    def compute_loss(self, model, inputs, return_outputs=False):\n        return model(**inputs).loss\n"
    )
    conflicts = found(tmp_path, code, transformers="5.23.0", requires=("transformers",))
    # 4.48.0 alone passes no num_items_in_batch.
    assert {each.works_with for each in conflicts} == {"<=4.45.2"}
