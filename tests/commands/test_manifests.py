"""A finding about the environment names the line of the project that asks for the package."""

from __future__ import annotations

from pathlib import Path

from tests.facts import environment, examination, probe_run
from vc2doctor.commands.examine import report_on
from vc2doctor.commands.manifests import asked_by, with_manifests
from vc2doctor.findings import Finding, ManifestLine, Severity


def finding(**fields: object) -> Finding:
    given = {"id": "VC005", "severity": Severity.ERROR, "message": "m", "evidence": (), "remedy": "", "url": "u"}
    return Finding(**{**given, **fields})


def manifest(made: Finding, folder: Path) -> ManifestLine | None:
    return with_manifests([made], environment(), folder)[0].manifest


def test_line_of_the_first_package_that_a_file_asks_for(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# versions\ntransformers==4.36.2\npeft>=0.10\n", encoding="utf-8")
    made = finding(packages=("torch", "peft", "transformers"))
    assert manifest(made, tmp_path) == ManifestLine(path="requirements.txt", line=3)
    assert manifest(finding(packages=("torch",)), tmp_path) is None
    assert manifest(finding(), tmp_path) is None


def test_text_for_people_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Works with transformers==4.36.2\n", encoding="utf-8")
    assert manifest(finding(packages=("transformers",)), tmp_path) is None


def test_file_of_the_project_that_a_finding_is_about_is_its_place(tmp_path: Path) -> None:
    assert manifest(finding(path=str(tmp_path / "torch.py")), tmp_path) == ManifestLine(path="torch.py", line=1)
    prefix = environment().interpreter.prefix
    assert manifest(finding(path=f"{prefix}/lib/torch.py"), Path(prefix)) is None
    assert manifest(finding(path="peft/peft_model.py"), tmp_path) is None


def test_findings_about_versions_name_their_packages() -> None:
    versions = {"torch": "2.13.0", "transformers": "4.36.2", "peft": "0.17.0"}
    by_id = {each.id: each for each in report_on(examination(versions, probe=probe_run()), 1.0).findings}
    assert by_id["VC005"].packages == ("peft", "transformers")
    missing = report_on(examination({"torch": "2.13.0"}), 1.0).findings
    assert next(each.packages for each in missing if each.id == "VC001") == ("transformers", "peft")


def test_versions_that_a_project_asks_for_are_read_without_those_that_allow_all(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("torch\ntransformers==4.36.2\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("Works with peft==0.9.0\n", encoding="utf-8")
    asked = asked_by(tmp_path)
    assert {name: (each.specifier, each.location) for name, each in asked.items()} == {
        "transformers": ("==4.36.2", "requirements.txt:2")
    }
