"""Local files that the installed releases cannot load, or load in part."""

from __future__ import annotations

from typing import Any

from tests.checks import findings_of
from tests.facts import examination, probe_run
from vc2doctor.checks import vc032_saved_files as check
from vc2doctor.checks.plan import FileMark, SavedFile
from vc2doctor.core.failure import Failure, Missing
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.file_trials import FilesRun, FileTrial

VERSIONS = {
    "torch": "2.13.0",
    "transformers": "4.44.2",
    "peft": "0.12.0",
    "accelerate": "0.34.2",
    "tokenizers": "0.19.1",
}
KEY = {"affected": "<99", "file": "a/adapter_config.json"}
REFUSED = FileMark(key="corda_config", package="peft", written_since="0.15.0", read_since="0.14.0", **KEY)
IGNORED = FileMark(
    key="rope_parameters", package="transformers", written_since="5.0.0", read_since="5.0.0", is_ignored=True, **KEY
)
ERROR = Failure(
    type="TypeError", message="got an unexpected keyword argument 'corda_config'", file="peft/config.py", line=9
)


def file(*marks: FileMark, **fields: Any) -> SavedFile:  # noqa: ANN401
    defaults = {"kind": "adapter", "loader": "PeftModel", "target": "/p/a", "file": "a/adapter_config.json"}
    return SavedFile.model_validate({**defaults, "path": "train.py", "line": 4, "marks": marks, **fields})


def findings(saved: SavedFile, run: FilesRun | None = None, *more: SavedFile) -> list[Finding]:
    facts = examination(VERSIONS, probe=probe_run(files=run) if run is not None else None)
    return findings_of(check, facts.model_copy(update={"saved_files": (saved, *more)}))


def tried(*failed: FileTrial) -> FilesRun:
    return FilesRun(tried=(("adapter", "/p/a"),), failed=failed)


def test_a_key_that_the_release_refuses_is_an_error_with_one_command() -> None:
    (finding,) = findings(file(REFUSED))
    assert (finding.severity, finding.path, finding.line) == (Severity.ERROR, "train.py", 4)
    assert finding.message == (
        "a/adapter_config.json cannot be loaded: it has corda_config, which peft 0.15.0 and newer write and peft 0.12.0"
        " cannot read"
    )
    assert finding.commands == ("/env/bin/python -m pip install peft==0.14.0",)
    assert finding.packages == ("peft",)


def test_what_the_target_raised_is_evidence() -> None:
    (finding,) = findings(file(REFUSED), tried(FileTrial(kind="adapter", path="/p/a", error=ERROR)))
    assert finding.severity is Severity.ERROR
    assert finding.evidence[0].startswith("TypeError at peft/config.py:9")


def test_what_the_target_loads_outweighs_what_is_known() -> None:
    assert findings(file(REFUSED), tried()) == []


def test_an_error_that_no_key_explains_names_the_package() -> None:
    (finding,) = findings(file(), tried(FileTrial(kind="adapter", path="/p/a", error=ERROR)))
    assert finding.message == "a/adapter_config.json cannot be loaded with peft 0.12.0"
    assert finding.commands == ()


def test_a_package_that_the_file_needs_is_installed() -> None:
    missing = Failure(
        type="ModuleNotFoundError", message="No module named 'tiktoken'", missing=Missing(module="tiktoken")
    )
    (finding,) = findings(file(), tried(FileTrial(kind="adapter", path="/p/a", error=missing)))
    assert finding.commands == ("/env/bin/python -m pip install tiktoken",)


def test_a_part_that_is_left_out_is_a_warning_also_if_the_file_was_loaded() -> None:
    for run in (None, tried()):
        (finding,) = findings(file(IGNORED), run)
        assert finding.severity is Severity.WARNING
        assert "is loaded without a part of it: it has rope_parameters" in finding.message


def test_a_part_that_only_the_target_shows() -> None:
    (finding,) = findings(file(), tried(FileTrial(kind="adapter", path="/p/a", ignored=("use_dora",))))
    assert finding.message == "a/adapter_config.json is loaded without a part of it: use_dora"


def test_a_file_that_could_not_be_read_is_named_and_not_called_good() -> None:
    (finding,) = findings(file(problem="it has 3 GB"))
    assert (finding.severity, finding.message) == (
        Severity.WARNING,
        "a/adapter_config.json was not judged: it has 3 GB",
    )
    assert findings(file(problem="it has 3 GB"), tried()) == []


def test_code_of_the_users_reads_its_own_files() -> None:
    assert findings(file(is_custom=True), tried(FileTrial(kind="adapter", path="/p/a", error=ERROR))) == []


def test_all_files_get_the_command_after_which_all_of_them_load() -> None:
    newer = FileMark(key="kasa_config", package="peft", written_since="0.17.0", read_since="0.17.0", **KEY)
    first, second = findings(file(REFUSED), None, file(newer, target="/p/b"))
    assert first.commands == second.commands
    assert first.commands
    assert "0.14.0" not in first.commands[0]
