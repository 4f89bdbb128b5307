"""B. Checkpoints that lead to pickles, which run code when they are loaded."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.model import Command, Expected, Row
from tests.faults.scene import fake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.model import Ran
    from tests.faults.scene import Scene

_CONFIG = '{"model_type": "llama"}'


def safetensors(value: float = 0.0) -> bytes:
    """Return a file of one tensor with this value."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<f", value)


class _Evil:
    """Unpickling it leaves a sign."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def _pickled(scene: Scene) -> bytes:
    return pickle.dumps(_Evil(scene.signs / "unpickled"))


def _index(scene: Scene, name: str) -> None:
    scene.file("model/model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": {"w": name}}))


def _index_leads_outside(scene: Scene) -> None:
    scene.file("elsewhere/evil.bin", _pickled(scene))
    _index(scene, "../elsewhere/evil.bin")


def _index_names_an_absolute_path(scene: Scene) -> None:
    _index(scene, str(scene.file("elsewhere/evil.bin", _pickled(scene))))


def _index_names_a_pickle_inside(scene: Scene) -> None:
    scene.file("model/weights.bin", _pickled(scene))
    _index(scene, "weights.bin")


def _pickle_is_called_safetensors(scene: Scene) -> None:
    scene.file("model/model.safetensors", _pickled(scene))


def _link_leads_to_a_pickle(scene: Scene) -> None:
    scene.link("model/model.safetensors", scene.file("evil.bin", _pickled(scene)))


def _pickles_lie_beside_the_weights(scene: Scene) -> None:
    scene.file("model/model.safetensors", safetensors())
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl"):
        scene.file(f"model/{name}", _pickled(scene))


def _only_a_pickle(scene: Scene) -> None:
    scene.file("model/pytorch_model.bin", _pickled(scene))


def _code_lies_beside_the_weights(scene: Scene) -> None:
    scene.file("model/model.safetensors", safetensors())
    scene.file("model/modeling.py", scene.sign("executed"))


def _header_is_huge(scene: Scene) -> None:
    scene.file("model/model.safetensors", struct.pack("<Q", 1 << 62) + b"{}")


def _nothing_ran(scene: Scene, _: Ran) -> str:
    return scene.wrong_signs()


def _checkpoint(arrange: Callable[[Scene], None], sentence: str, *says: str) -> Row:
    def plan(scene: Scene) -> Command:
        yes = fake("agreeable")
        python = scene.target(torch=yes, transformers=f"{yes}\n{fake('loader')}", peft=yes)
        scene.file("model/config.json", _CONFIG)
        # Without a tokenizer nothing is loaded.
        scene.file("model/tokenizer.json", "{}")
        arrange(scene)
        return Command(("probe", "--model", "model", "--timeout", "60", "--python", python))

    return Row("B", arrange.__name__.strip("_"), sentence, plan, Expected((1, 3), says, verify=_nothing_ran))


ROWS = (
    _checkpoint(_index_leads_outside, "The index names a pickle outside of the folder.", "not a file below the folder"),
    _checkpoint(_index_names_an_absolute_path, "The index names a pickle by its full path.", "not a file below"),
    _checkpoint(_index_names_a_pickle_inside, "The index names a pickle in the folder.", "not a safetensors file"),
    _checkpoint(_pickle_is_called_safetensors, "A pickle is called `model.safetensors`.", "not a safetensors file"),
    _checkpoint(_link_leads_to_a_pickle, "`model.safetensors` is a link to a pickle.", "not a safetensors file"),
    _checkpoint(_only_a_pickle, "The folder has only pickled weights.", "does not load pickled weights"),
    _checkpoint(_pickles_lie_beside_the_weights, "Pickles lie beside good weights.", "the loader was reached"),
    _checkpoint(_code_lies_beside_the_weights, "Code of a model lies beside good weights.", "the loader was reached"),
    _checkpoint(_header_is_huge, "The header of the weights is said to have 4 EiB.", "not a safetensors file"),
)
