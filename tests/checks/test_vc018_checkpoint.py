"""A checkpoint or function that cannot be loaded, or a checkpoint that is not finite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks import findings_of
from tests.facts import examination, failure, probe_run
from vc2doctor import checks
from vc2doctor.checks import vc018_checkpoint as check
from vc2doctor.checks import verdict
from vc2doctor.core.failure import Failure, Missing
from vc2doctor.findings import Severity
from vc2doctor.probe.facts import Operation
from vc2doctor.probe.subject_facts import LoadedModel, NonFiniteTensor
from vc2doctor.target.probe import checkpoint_files

PLANNED = {"checkpoint": "/models/mine", "trains": False}


def test_exception_while_loading_is_evidence() -> None:
    probe = probe_run(recipes=(), adapter=None, load_failure=failure("it needs 60.1 GiB", type="MemoryError"))
    probed = examination(probe=probe, planned=PLANNED)
    (finding,) = findings_of(check, probed)
    assert (finding.severity, finding.message) == (Severity.ERROR, "/models/mine cannot be loaded")
    assert "it needs 60.1 GiB" in finding.evidence[0]
    assert finding.remedy == "Use a machine with more memory."
    assert verdict.final_verdict(probed, checks.run(probed)) == "unfit"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            failure("mymodel:nosuch: the module mymodel has no function nosuch", type="EntryError"),
            "Check the name after the colon: the module mymodel must define a function nosuch.",
        ),
        (
            failure("No module named 'mymodel'", missing=Missing(module="mymodel")),
            "Check the name before the colon, and start the doctor in the directory that holds this module.",
        ),
        (
            failure("No module named 'einops'", missing=Missing(module="einops")),
            "Fix this error: it is raised when mymodel is imported.",
        ),
    ],
)
def test_remedy_for_a_function_says_what_to_check(error: Failure, remedy: str) -> None:
    probe = probe_run(recipes=(), adapter=None, load_failure=error)
    (finding,) = findings_of(check, examination(probe=probe, planned={"entry": "mymodel:nosuch"}))
    assert (finding.message, finding.remedy) == ("mymodel:nosuch cannot be loaded", remedy)


@pytest.mark.parametrize(
    ("type_", "remedy"),
    [
        ("TokenizerMissingError", "Save the tokenizer there: tokenizer.save_pretrained('/models/mine')."),
        ("CheckpointError", "A checkpoint is a folder with config.json, safetensors and the tokenizer, as"),
        ("ValueError", "If this transformers does not know the architecture, install a newer one."),
    ],
)
def test_remedy_for_a_checkpoint_says_what_is_missing_and_no_command_repeats_the_run(type_: str, remedy: str) -> None:
    probe = probe_run(recipes=(), adapter=None, load_failure=failure("it cannot be loaded", type=type_))
    (finding,) = findings_of(check, examination(probe=probe, planned=PLANNED))
    assert finding.remedy.startswith(remedy)
    assert finding.commands == ()


def test_folder_of_a_checkpoint_without_a_tokenizer_is_told_from_one_with_any_kind(tmp_path: Path) -> None:
    def has_tokenizer(gguf: str = "") -> bool:
        return checkpoint_files.has_tokenizer(checkpoint_files.Files(str(tmp_path), {}, {}, gguf, 0, {}))

    for name in ("config.json", "generation_config.json", "model.safetensors.index.json", "trainer_state.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert not has_tokenizer()
    assert has_tokenizer(gguf="model.gguf"), "such a file holds its tokenizer itself"
    for name in ("tokenizer.json", "tokenizer.model", "vocab.txt", "merges.txt", "spiece.model", "qwen.tiktoken"):
        (tmp_path / name).write_text("", encoding="utf-8")
        assert has_tokenizer(), name
        (tmp_path / name).unlink()


def test_exception_in_the_forward_pass_is_reported_if_nothing_is_trained() -> None:
    probe = probe_run(recipes=(), adapter=None, headroom_failure=failure("index out of range"))
    (finding,) = findings_of(check, examination(probe=probe, planned=PLANNED))
    assert finding.message == "/models/mine was loaded, but its range cannot be measured"
    assert "index out of range" in finding.evidence[0]
    assert findings_of(check, examination(probe=probe, planned={**PLANNED, "trains": True})) == []


def loaded(**fields: object) -> LoadedModel:
    defaults = {"architecture": "Llama", "parameters": 10, "dtype": "float32", "seconds": 1.0}
    return LoadedModel.model_validate({**defaults, **fields})


def test_values_that_are_not_finite_are_an_error_with_and_without_training() -> None:
    damaged = NonFiniteTensor(tensor="lm_head.weight", values=3, of=64)
    probe = probe_run(loaded=loaded(non_finite=(damaged,), non_finite_tensors=2))
    for trains in (True, False):
        (finding,) = findings_of(check, examination(probe=probe, planned={**PLANNED, "trains": trains}))
        assert finding.message == "/models/mine holds NaN or infinity in 2 tensors"
        assert finding.evidence == ("lm_head.weight: 3 of 64 values", "and 1 more tensors")


def test_forward_pass_that_is_not_finite_in_float32_is_an_error() -> None:
    probe = probe_run(recipes=(), adapter=None, loaded=loaded(), range_broken=Operation(module="lm_head", op="mm"))
    probed = examination(probe=probe, planned=PLANNED)
    (finding,) = findings_of(check, probed)
    assert finding.evidence == ("the first result that is not finite comes from lm_head (mm)",)
    assert verdict.final_verdict(probed, checks.run(probed)) == "unfit"


def test_probe_of_the_miniature_has_no_finding() -> None:
    assert findings_of(check, examination(probe=probe_run())) == []
    assert findings_of(check, examination()) == []
