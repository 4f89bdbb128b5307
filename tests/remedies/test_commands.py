"""Install commands that a user can paste."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from tests.facts import interpreter
from vc2doctor.remedies.commands import install


def test_command_uses_the_pip_of_the_target() -> None:
    assert install(interpreter(), ["peft==0.10.0"]) == "/env/bin/python -m pip install peft==0.10.0"


def test_specifier_is_quoted_for_the_shell() -> None:
    assert install(interpreter(), ["peft>=0.12"]).endswith(" 'peft>=0.12'")


def test_environment_without_pip_gets_a_command_of_uv() -> None:
    command = install(interpreter(has_pip=False), ["peft==0.10.0"])
    assert command == "uv pip install --python /env/bin/python peft==0.10.0"


def test_externally_managed_python_gets_a_venv_first() -> None:
    command = install(interpreter(path="/usr/bin/python3", externally_managed=True), ["peft==0.10.0"])
    assert command == "/usr/bin/python3 -m venv .venv && .venv/bin/python -m pip install peft==0.10.0"


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_shell_runs_nothing_of_a_path_or_requirement(path: str, requirements: list[str]) -> None:
    command = install(interpreter(path=path), requirements)
    assert shlex.split(command) == [path, "-m", "pip", "install", *requirements]
