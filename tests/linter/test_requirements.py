"""Versions that the files of a project ask for, and those that its README names."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.read.requirements import requirements_of


@pytest.mark.parametrize(
    ("line", "specifier"),
    [
        ("pip install transformers==4.29.1 datasets", "==4.29.1"),
        ("- transformers, Version: 4.29.1", "==4.29.1"),
        ("* `transformers`: 4.29.1", "==4.29.1"),
        ("transformers >= 4.31.0", ">=4.31.0"),
    ],
)
def test_a_readme_names_a_version(tmp_path: Path, line: str, specifier: str) -> None:
    (tmp_path / "README.md").write_text(f"# Title\n\n{line}\n", encoding="utf-8")
    found = requirements_of(tmp_path, "")["transformers"]
    assert (found.specifier, found.location) == (specifier, "README.md:3")


@pytest.mark.parametrize(
    ("line", "specifier"),
    [
        ("conda install pytorch==1.10.0 torchvision==0.11.0 -c pytorch", "==1.10.0"),
        ("- PyTorch: 1.8+", ">=1.8"),
        ("pip install torch==1.13.1+cu117", "==1.13.1"),
    ],
)
def test_a_readme_names_torch_as_conda_does(tmp_path: Path, line: str, specifier: str) -> None:
    (tmp_path / "README.md").write_text(line, encoding="utf-8")
    assert requirements_of(tmp_path, "")["torch"].specifier == specifier


def test_the_command_of_conda_in_an_image_counts(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "RUN conda install -y pytorch=1.12.1 cudatoolkit -c pytorch\n", encoding="utf-8"
    )
    assert requirements_of(tmp_path, "")["torch"].specifier == "==1.12.1"


@pytest.mark.parametrize("line", ["see huggingface/transformers: 4.29.1-dev0", "transformers are 3.5 times as fast"])
def test_other_texts_name_none(tmp_path: Path, line: str) -> None:
    (tmp_path / "README.md").write_text(line, encoding="utf-8")
    assert requirements_of(tmp_path, "") == {}


def test_a_file_of_requirements_counts_more_than_the_readme(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("transformers==4.29.1", encoding="utf-8")
    (tmp_path / "requirement.txt").write_text("transformers==4.30.0\n", encoding="utf-8")
    assert requirements_of(tmp_path, "")["transformers"].specifier == "==4.30.0"


@pytest.mark.parametrize("name", ["readme.md", "ReadMe.rst", "README.txt", "Install.md", "Requirements.TXT"])
def test_case_and_suffix_of_a_file_do_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("transformers==4.29.1\n", encoding="utf-8")
    assert requirements_of(tmp_path, "")["transformers"].location == f"{name}:1"


def test_the_readme_of_a_subfolder_holds_for_that_folder_only(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "readme.md").write_text("pip install peft==0.5.0\n", encoding="utf-8")
    assert requirements_of(tmp_path, "benchmark")["peft"].location == "benchmark/readme.md:1"
    assert requirements_of(tmp_path, "") == {}


def test_a_folder_with_the_name_of_a_text_is_no_file_of_requirements(tmp_path: Path) -> None:
    (tmp_path / "readme.md").mkdir()
    assert requirements_of(tmp_path, "") == {}


def test_conda_calls_torch_pytorch(tmp_path: Path) -> None:
    text = "dependencies:\n  - python=3.8\n  - pytorch=1.7.1\n"
    (tmp_path / "environment.yaml").write_text(text, encoding="utf-8")
    assert requirements_of(tmp_path, "")["torch"].specifier == "==1.7.1"


def test_requirements_of_tests_are_none_of_the_code(tmp_path: Path) -> None:
    (tmp_path / "requirements-test.txt").write_text("transformers==4.27.1\n", encoding="utf-8")
    assert requirements_of(tmp_path, "") == {}


@pytest.mark.parametrize(
    ("line", "specifier"),
    [
        ("git+https://github.com/huggingface/transformers.git", ""),
        ("transformers @ git+https://github.com/huggingface/transformers@main", ""),
        ("git+https://github.com/huggingface/transformers.git@6f79d264", None),
    ],
)
def test_code_from_git_is_the_newest_without_a_commit(tmp_path: Path, line: str, specifier: str | None) -> None:
    (tmp_path / "requirements.txt").write_text(f"{line}\n", encoding="utf-8")
    assert requirements_of(tmp_path, "")["transformers"].specifier == specifier


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", "FROM python\nRUN apt-get update && \\\n    pip install torch \\\n    transformers==4.29.1\n"),
        ("install.sh", "pip install --no-deps transformers==4.29.1 && echo done\n"),
        ("environment_cuda.yml", "dependencies:\n  - pip:\n      - transformers==4.29.1\n"),
        ("setup.cfg", "[options]\ninstall_requires =\n    transformers==4.29.1\n"),
        ("INSTALL.md", "pip install transformers==4.29.1\n"),
    ],
)
def test_a_version_is_read_wherever_projects_write_it(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert requirements_of(tmp_path, "")["transformers"].specifier == "==4.29.1"


def test_a_file_of_requirements_counts_more_than_an_image(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("RUN pip install transformers==4.29.1\n", encoding="utf-8")
    (tmp_path / "requirements.txt").write_text("transformers==4.30.0\n", encoding="utf-8")
    assert requirements_of(tmp_path, "")["transformers"].specifier == "==4.30.0"


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock", "pdm.lock"])
def test_a_lock_file_chooses_the_release_within_a_range(tmp_path: Path, name: str) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["peft>=0.5", "torch"]\n', encoding="utf-8")
    packages = [("peft", "0.10.0"), ("torch", "2.4.0"), ("torch", "2.4.0+cpu")]
    text = "".join(f'[[package]]\nname = "{package}"\nversion = "{version}"\n\n' for package, version in packages)
    (tmp_path / name).write_text(f"version = 1\n\n{text}", encoding="utf-8")
    found = requirements_of(tmp_path, "")
    assert (found["peft"].specifier, found["peft"].location) == ("==0.10.0", f"{name}:4")
    assert not found["torch"].specifier, "two releases, one for each platform, say nothing"


def test_the_comment_of_a_requirements_file_tells_what_to_install_first(tmp_path: Path) -> None:
    text = "# conda install pytorch==2.1.0 -c pytorch\n# peft==0.4.0\ntqdm\n"
    (tmp_path / "requirements.txt").write_text(text, encoding="utf-8")
    found = requirements_of(tmp_path, "")
    assert found["torch"].specifier == "==2.1.0"
    assert "peft" not in found, "a line that is commented out asks for nothing"


@pytest.mark.parametrize(
    "text",
    [
        (
            "_deps = ['black==23.1.0', 'trl==0.7.4']\ndeps = {each.split('==')[0]: each for each in _deps}\n"
            "install_requires = [deps['trl']]\nsetup(install_requires=install_requires)\n"
        ),
        "DEPENDENCIES = ('trl==0.7.4', 'tqdm')\nsetup(install_requires=list(DEPENDENCIES))\n",
        "deps = {'trl': 'trl==0.7.4'}\nsetup(install_requires=[deps['trl']])\n",
    ],
)
def test_setup_py_chooses_from_a_table_of_requirements(tmp_path: Path, text: str) -> None:
    (tmp_path / "setup.py").write_text(text, encoding="utf-8")
    found = requirements_of(tmp_path, "")["trl"]
    assert (found.specifier, found.location) == ("==0.7.4", "setup.py:1")


def test_requirement_that_setup_py_computes_is_unknown(tmp_path: Path) -> None:
    text = "base = []\nif NEW:\n    base += ['peft>=0.7']\nsetup(install_requires=base, keywords='transformers')\n"
    (tmp_path / "setup.py").write_text(text, encoding="utf-8")
    found = requirements_of(tmp_path, "")
    assert (found["peft"].specifier, found["peft"].location) == (None, "setup.py:3")


def test_the_newest_code_of_a_repository_in_a_readme_is_no_older_release(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Then\npip install git+https://github.com/huggingface/peft.git\n", "utf-8")
    found = requirements_of(tmp_path, "")["peft"]
    assert (found.specifier, found.location, found.is_newest) == ("", "README.md:2", True)


def test_a_commit_of_a_repository_in_a_readme_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("pip install git+https://github.com/huggingface/peft@1a2b3c4\n", "utf-8")
    assert "peft" not in requirements_of(tmp_path, "")


def test_a_version_in_a_readme_counts_more_than_the_newest_code(tmp_path: Path) -> None:
    text = "pip install git+https://github.com/huggingface/peft\n\nor peft==0.4.0\n"
    (tmp_path / "README.md").write_text(text, "utf-8")
    assert requirements_of(tmp_path, "")["peft"].specifier == "==0.4.0"


def test_versions_for_developers_in_a_setup_file_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text('test_deps = ["transformers==4.37.0"]\n', "utf-8")
    assert "transformers" not in requirements_of(tmp_path, "")


def test_a_file_of_conda_may_be_named_after_the_project(tmp_path: Path) -> None:
    text = "name: stereo\ndependencies:\n  - pytorch-lightning=1.5.4 # training\n"
    (tmp_path / "stereo_env.yml").write_text(text, "utf-8")
    assert requirements_of(tmp_path, "")["pytorch-lightning"].specifier == "==1.5.4"
