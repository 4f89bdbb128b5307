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
