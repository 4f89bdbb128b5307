"""Local files that training code loads, found and read on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vc2doctor.checks.plan import SavedFile
from vc2doctor.commands.report import CodeFile, CodeReading
from vc2doctor.commands.saved_files import saved_files
from vc2doctor.matrix import load

FIXTURES = Path(__file__).parent / "fixtures"
OLD = {"transformers": "4.44.2", "tokenizers": "0.19.1", "peft": "0.11.1", "datasets": "3.6.0"}
NEW = {"transformers": "5.23.0", "tokenizers": "0.23.3", "peft": "0.21.2", "datasets": "5.2.0"}
TOKENIZER = {"model": {"type": "BPE", "merges": [["a", "b"]]}}


def found(
    folder: Path, kind: str, name: str, installed: dict[str, str] | None = None, loader: str = ""
) -> list[SavedFile]:
    loaded = CodeFile.model_validate({"kind": kind, "loader": loader, "name": name, "path": "train.py", "line": 3})
    code = CodeReading(root=folder, loads=(loaded,))
    return list(saved_files(code, folder, installed or OLD, load.load(load.shipped()).architectures))


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def keys(file: SavedFile) -> list[str]:
    return [mark.key for mark in file.marks]


def test_the_files_of_a_tokenizer_are_read(tmp_path: Path) -> None:
    write(tmp_path / "m" / "tokenizer.json", TOKENIZER)
    write(tmp_path / "m" / "tokenizer_config.json", {"tokenizer_class": "TokenizersBackend"})
    (file,) = found(tmp_path, "tokenizer", "m")
    assert keys(file) == ['"tokenizer_class": "TokenizersBackend"', "model.merges as a list of pairs"]
    assert (file.target, file.kind, file.line) == (str(tmp_path / "m"), "tokenizer", 3)
    (file,) = found(tmp_path, "tokenizer", "m", NEW)
    assert file.marks == ()


@pytest.mark.parametrize("name", ["org/model", "m", "", "x\0y", "~no-such-user/x", "a" * 5000])
def test_a_name_that_is_no_path_here_is_left_alone(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, "model", name) == []
    assert found(tmp_path, "data", name) == []


def test_an_absolute_path_and_a_folder_with_an_adapter(tmp_path: Path) -> None:
    write(tmp_path / "a" / "adapter_config.json", {"peft_type": "LORA", "corda_config": None})
    (file,) = found(tmp_path / "elsewhere", "adapter", str(tmp_path / "a"))
    assert keys(file) == ["corda_config"]
    assert [each.kind for each in found(tmp_path, "model", "a", loader="AutoModelForCausalLM")] == ["adapter"]


def test_a_model_that_the_release_does_not_know_and_one_of_the_users_own(tmp_path: Path) -> None:
    write(tmp_path / "new" / "config.json", {"model_type": "qwen3"})
    write(tmp_path / "own" / "config.json", {"model_type": "of_my_own"})
    write(tmp_path / "code" / "config.json", {"model_type": "qwen3", "auto_map": {"AutoModel": "m.M"}})
    (file,) = found(tmp_path, "model", "new")
    assert keys(file) == ['"model_type": "qwen3"']
    assert [each.is_custom for name in ("own", "code") for each in found(tmp_path, "model", name)] == [True, True]


@pytest.mark.parametrize("name", ["d.parquet", "*.parquet", "."])
def test_the_footer_of_a_parquet_file_says_which_features_it_has(tmp_path: Path, name: str) -> None:
    shutil.copy(FIXTURES / "lists_of_datasets_5.parquet", tmp_path / "d.parquet")
    (file,) = found(tmp_path, "data", name)
    assert (file.kind, keys(file)) == ("parquet", ["feature type List"])
    (file,) = found(tmp_path, "data", name, NEW)
    assert keys(file) == []


def test_older_parquet_files_have_no_marks(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "lists_of_datasets_3.parquet", tmp_path / "d.parquet")
    (file,) = found(tmp_path, "data", "d.parquet")
    assert (file.marks, file.problem) == ((), "")


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"x" * 40, b'PAR1{"info":\x08\0\0\0PAR1']
)
def test_a_damaged_parquet_file_is_not_called_readable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.parquet").write_bytes(content)
    (file,) = found(tmp_path, "data", "d.parquet")
    assert file.marks == ()
    assert file.problem == ("" if content.startswith(b'PAR1{"') else "d.parquet is no parquet file")


def test_a_saved_data_set_with_splits(tmp_path: Path) -> None:
    info = {"features": {"a": {"feature": {"_type": "Value"}, "_type": "List"}}}
    write(tmp_path / "d" / "dataset_dict.json", {"splits": ["train"]})
    write(tmp_path / "d" / "train" / "dataset_info.json", info)
    (file,) = found(tmp_path, "data-folder", "d")
    assert (file.kind, keys(file)) == ("dataset", ["feature type List"])


def test_the_newest_checkpoint_of_an_output_folder(tmp_path: Path) -> None:
    write(tmp_path / "o" / "checkpoint-9" / "trainer_state.json", {"best_global_step": 1})
    write(tmp_path / "o" / "checkpoint-10" / "trainer_state.json", {"epoch": 1})
    write(tmp_path / "o" / "checkpoint-best" / "trainer_state.json", {"best_global_step": 1})
    (file,) = found(tmp_path, "checkpoint", "o", loader="newest")
    assert (file.target, keys(file)) == (str(tmp_path / "o" / "checkpoint-10"), [])
    (file,) = found(tmp_path, "checkpoint", "o/checkpoint-9")
    assert keys(file) == ["best_global_step"]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "adapter_config.json").write_text("{", encoding="utf-8")
    (file,) = found(tmp_path, "adapter", "a")
    assert file.problem


def test_a_tokenizer_beside_a_model_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "m" / "tokenizer.json", TOKENIZER)
    write(tmp_path / "m" / "config.json", {"model_type": "of_my_own"})
    (file,) = found(tmp_path, "tokenizer", "m")
    assert file.is_custom
