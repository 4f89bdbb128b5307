"""Failures that show that 4 bits need a GPU, and failures that do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vc2doctor.target.probe.trained import gpu_only_reason
from vc2doctor.target.runtime import Runtime


def runtime(device: str) -> Runtime:
    return Runtime(None, None, None, SimpleNamespace(type=device))


def raised_in(file: str) -> BaseException:
    """Return an assertion without a message that fails in ``file``."""
    try:
        exec(compile("assert False", file, "exec"))  # noqa: S102 - the file of a frame is what is read
    except AssertionError as error:
        return error
    raise AssertionError


BITSANDBYTES = "/env/site-packages/bitsandbytes/autograd/_functions.py"
CASES: dict[str, tuple[Any, str | None]] = {
    "says so": (RuntimeError("No GPU found"), "No GPU found"),
    "asserts in bitsandbytes": (raised_in(BITSANDBYTES), "AssertionError"),
    "asserts elsewhere": (raised_in("/env/site-packages/peft/mapping.py"), None),
    "another failure": (ValueError("shapes differ"), None),
}


@pytest.mark.parametrize("name", CASES)
def test_reason(name: str) -> None:
    error, reason = CASES[name]
    found = gpu_only_reason(runtime("cpu"), error)
    prefix = "this bitsandbytes or transformers computes in 4 bits on a GPU only: "
    assert found == (prefix + reason if reason else None)
    assert gpu_only_reason(runtime("cuda"), error) is None
