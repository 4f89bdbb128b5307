"""The door ``datasets.load_dataset``: rows that are read from a local file, mapped, and trained on in a plain loop."""

import importlib
import json
import os
import tempfile
from typing import Any, Dict, List, Optional

from . import Door


def _read(rows: List[Dict[str, Any]], folder: str) -> Any:
    path = os.path.join(folder, "rows.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    datasets = importlib.import_module("datasets")
    return datasets.load_dataset("json", data_files=path, split="train", cache_dir=os.path.join(folder, "cache"))


def _load() -> None:
    # A release that does not fit the installed fsspec is imported without an error, and fails at the first file.
    with tempfile.TemporaryDirectory() as folder:
        _read([{"text": "a row"}], folder)


def _train(kit: Any) -> List[Optional[float]]:
    lists = [{name: column.tolist() for name, column in row.items()} for row in kit.rows()]
    read = _read(lists, kit.folder).map(lambda row: {"labels": row["input_ids"]})
    loader = kit.runtime.torch.utils.data.DataLoader(read.with_format("torch"), batch_size=kit.rows_per_batch)
    batches = [{name: tensor.to(kit.runtime.device) for name, tensor in batch.items()} for batch in loader]
    return list(kit.train_loop(kit.adapted(), batches))


DOOR = Door(
    name="datasets",
    title="datasets.load_dataset",
    modules=("datasets",),
    signs=("datasets.load_dataset", "datasets.load_from_disk"),
    load=_load,
    train=_train,
    fault="datasets:load_dataset",
)
