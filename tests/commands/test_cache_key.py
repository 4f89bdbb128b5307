"""The key of a kept answer: a pure function, in which each part of the facts counts."""

from __future__ import annotations

import os
from typing import Any

import pytest

from vc2doctor.commands.cache_key import KeyFacts, key, relevant
from vc2doctor.environment.fingerprint import Fingerprint

LOOKS: dict[str, Any] = {
    "interpreter": {"executable": "/v/bin/python 1 2 3", "version": "3.11.7"},
    "path": (("/v/lib", "a"), ("/v/site-packages", "b")),
    "distributions": (("/v/torch-2.13.0.dist-info", "c"), ("/v/peft-0.21.2.dist-info", "d")),
    "files": {"torch": "e", "peft": "f"},
}
FACTS: dict[str, Any] = {
    "doctor": {"version": "0.1.0", "worker": "5", "matrix": "a"},
    "environment": Fingerprint(**LOOKS),
    "machine": {"nvidia": "driver 580", "system": "Linux host"},
    "request": '{"profile": null, "doors": null}',
    "contents": {"/w/train.py": "a"},
    "variables": {"CUDA_VISIBLE_DEVICES": "0"},
    "waivers": (),
}
CHANGES: dict[str, Any] = {
    "doctor": {"version": "0.2.0", "worker": "5", "matrix": "a"},
    "machine": {"nvidia": "driver 581", "system": "Linux host"},
    "request": '{"profile": null, "doors": ["dpo"]}',
    "contents": {"/w/train.py": "b"},
    "variables": {"CUDA_VISIBLE_DEVICES": "1"},
    "waivers": ("VC009",),
}
LOOK_CHANGES: dict[str, Any] = {
    "interpreter": {"executable": "/v/bin/python 1 2 4", "version": "3.11.7"},
    # The same entries in another order: Python imports from the first that has a module.
    "path": (("/v/site-packages", "b"), ("/v/lib", "a")),
    "distributions": (("/v/peft-0.21.2.dist-info", "d"), ("/v/torch-2.13.0.dist-info", "c")),
    "files": {"torch": "x", "peft": "f"},
}


def test_equal_facts_have_one_key_whatever_their_order() -> None:
    reordered = {**FACTS, "doctor": dict(reversed(list(FACTS["doctor"].items())))}
    assert key(KeyFacts(**FACTS)) == key(KeyFacts(**reordered))
    assert len(key(KeyFacts(**FACTS))) == 64


@pytest.mark.parametrize("name", CHANGES)
def test_each_fact_changes_the_key(name: str) -> None:
    assert key(KeyFacts(**FACTS)) != key(KeyFacts(**{**FACTS, name: CHANGES[name]}))


def test_two_files_whose_names_are_not_utf_8_are_two_files() -> None:
    first, second = (os.fsdecode(b"/w/donn" + byte + b"es.py") for byte in (b"\xe9", b"\xe8"))
    keys = {key(KeyFacts(**{**FACTS, "contents": {path: "a"}})) for path in (first, second)}
    keys |= {key(KeyFacts(**{**FACTS, "contents": {first: digest, second: "b"}})) for digest in ("a", "c")}
    assert len(keys) == 4


@pytest.mark.parametrize("name", LOOK_CHANGES)
def test_each_fact_about_the_environment_changes_the_key(name: str) -> None:
    changed = Fingerprint(**{**LOOKS, name: LOOK_CHANGES[name]})
    assert key(KeyFacts(**FACTS)) != key(KeyFacts(**{**FACTS, "environment": changed}))


def test_every_field_is_tried() -> None:
    assert set(CHANGES) | {"environment"} == set(KeyFacts.model_fields)
    assert set(LOOK_CHANGES) == set(Fingerprint.model_fields)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("PYTHONPATH", True),
        ("LD_LIBRARY_PATH", True),
        ("CUDA_VISIBLE_DEVICES", True),
        ("TORCH_LOGS", True),
        ("PYTORCH_CUDA_ALLOC_CONF", True),
        ("HF_HOME", True),
        ("SLURM_JOB_ID", False),
        ("TERM", False),
    ],
)
def test_variables_that_training_reads_count(name: str, *, counts: bool) -> None:
    assert (relevant({name: "x"}) == {name: "x"}) is counts
