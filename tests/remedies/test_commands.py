"""Commands to paste."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from tests.facts import interpreter
from vc2doctor.remedies.commands import install


def test_pip_of_the_target() -> None:
    assert install(interpreter(), ["peft==0.10.0"]) == "/env/bin/python -m pip install peft==0.10.0"


def test_a_specifier_is_quoted() -> None:
    assert install(interpreter(), ["peft>=0.12"]).endswith(" 'peft>=0.12'")


def test_without_pip_it_is_uvs() -> None:
    command = install(interpreter(has_pip=False), ["peft==0.10.0"])
    assert command == "uv pip install --python /env/bin/python peft==0.10.0"


def test_where_pip_may_not_a_venv_is_made() -> None:
    command = install(interpreter(path="/usr/bin/python3", externally_managed=True), ["peft==0.10.0"])
    assert command == "/usr/bin/python3 -m venv .venv && .venv/bin/python -m pip install peft==0.10.0"


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_nothing_in_a_name_is_run_by_the_shell(path: str, requirements: list[str]) -> None:
    command = install(interpreter(path=path), requirements)
    assert shlex.split(command) == [path, "-m", "pip", "install", *requirements]
