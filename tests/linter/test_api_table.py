"""The shipped table of names says what the released wheels contain. The facts here were read in them by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from vc2doctor.linter.knowledge.api_table import NEW_NAMES, RENAMED, ApiTable, load_table
from vc2doctor.linter.run import LintTask, apply_rules

PACKAGE_OF = {"SFTConfig": "trl", "Accelerator": "accelerate"}


@pytest.fixture(scope="module")
def table() -> ApiTable:
    table = load_table()
    assert table is not None
    return table


def has(table: ApiTable, package: str, bits: int) -> dict[str, bool]:
    return {text: bool(bits >> place & 1) for text, place in table.packages[package].places.items()}


@pytest.mark.parametrize(
    ("name", "present", "absent"),
    [
        ("peft.prepare_model_for_int8_training", ("0.2.0", "0.9.0"), ("0.1.0", "0.10.0")),
        ("transformers.LlamaForCausalLM", ("4.28.0", "5.24.0"), ("4.27.4",)),
        ("transformers.AdamW", ("4.18.0", "4.49.0"), ("4.50.0", "5.0.0")),
        ("transformers.models.bart.modeling_bart._expand_mask", ("4.18.0", "4.34.1"), ("4.35.0",)),
        ("trl.DataCollatorForCompletionOnlyLM", ("0.4.5", "0.19.1"), ("0.4.4", "0.20.0")),
    ],
)
def test_names_exist_in_the_releases_that_have_them(
    table: ApiTable, name: str, present: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    module, _, symbol = name.rpartition(".")
    existence = table.importable(module, symbol)
    assert existence is not None
    releases = has(table, existence.package, existence.bits)
    assert all(releases[text] for text in present)
    assert not any(releases[text] for text in absent)


@pytest.mark.parametrize(
    ("dotted", "keyword", "last", "first_without"),
    [
        ("transformers.Trainer", "tokenizer", "4.57.6", "5.0.0"),
        ("transformers.Seq2SeqTrainingArguments", "evaluation_strategy", "4.50.3", "4.51.0"),
        ("trl.SFTTrainer", "max_seq_length", "0.12.2", "0.13.0"),
        ("accelerate.Accelerator", "logging_dir", "0.19.0", "0.20.0"),
    ],
)
def test_keywords_are_taken_until_they_go(
    table: ApiTable, dotted: str, keyword: str, last: str, first_without: str
) -> None:
    existence = table.keyword(dotted, keyword)
    assert existence is not None
    releases = has(table, existence.package, existence.bits)
    assert (releases[last], releases[first_without]) == (True, False)


@pytest.mark.parametrize("entry", RENAMED.items(), ids=str)
def test_the_new_name_of_a_keyword_is_taken_where_the_old_one_is_gone(
    table: ApiTable, entry: tuple[tuple[str, str], str]
) -> None:
    (cls, old), new = entry
    package = PACKAGE_OF.get(cls, "transformers")
    gone, taken = table.keyword(f"{package}.{cls}", old), table.keyword(f"{package}.{cls}", new)
    assert gone is not None
    assert taken is not None
    releases = has(table, package, gone.bits)
    assert not all(releases.values())
    assert all(has(table, package, taken.bits)[text] for text, is_taken in releases.items() if not is_taken)


@pytest.mark.parametrize("entry", NEW_NAMES.items(), ids=str)
def test_the_new_name_of_a_function_exists_where_the_old_one_is_gone(table: ApiTable, entry: tuple[str, str]) -> None:
    module, _, old = entry[0].rpartition(".")
    gone, taken = table.importable(module, old), table.importable(module, entry[1])
    assert gone is not None
    assert taken is not None
    package = table.packages[gone.package]
    assert gone.bits >> (len(package.releases) - 1) & 1 == 0
    assert taken.bits >> (len(package.releases) - 1) & 1


def test_what_takes_every_keyword_is_never_a_finding(table: ApiTable) -> None:
    assert table.keyword("transformers.BitsAndBytesConfig", "no_release_has_this") is None
    assert table.keyword("transformers.LlamaConfig", "torch_dtype") is None


def test_releases_without_the_class_are_none_that_take_its_argument(tmp_path: Path) -> None:
    """Trl has GRPOConfig from 0.14 on, with use_liger_loss from 0.17.0 to 0.27.2, as its wheels show."""
    (tmp_path / "train.py").write_text("from trl import GRPOConfig\nGRPOConfig('out', use_liger_loss=True)\n", "utf-8")
    (finding,) = (each for each in apply_rules(LintTask(paths=(tmp_path,))).findings if each.id == "VC118")
    assert "trl 0.17.0 to 0.27.2" in finding.remedy
    assert not any("and older" in evidence for evidence in finding.evidence)


@pytest.mark.parametrize(
    ("name", "keyword", "place"),
    [
        ("trl.DPOTrainer", "beta", "args=DPOConfig(beta=...)"),
        ("trl.SFTTrainer", "packing", "args=SFTConfig(packing=...)"),
        # trl 0.20 renamed it in the configuration.
        ("trl.SFTTrainer", "max_seq_length", ""),
        ("trl.DPOTrainer", "model", ""),
        ("trl.DPOTrainer", "tokenizer", ""),
        ("transformers.TrainingArguments", "fp16", ""),
    ],
)
def test_what_trainers_of_trl_lost_is_found_in_their_configuration(
    table: ApiTable, name: str, keyword: str, place: str
) -> None:
    assert table.in_configuration(name, keyword) == place
