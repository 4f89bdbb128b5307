"""Modules that the current directory shadows."""

from __future__ import annotations

from tests.checks import found_by
from tests.facts import SITE, examination
from vc2doctor.checks import vc001_missing, vc002_shadowed
from vc2doctor.environment.model import Shadow
from vc2doctor.findings import Severity


def test_nothing_is_shadowed() -> None:
    assert found_by(vc002_shadowed, examination()) == []


def test_a_file_in_the_way() -> None:
    (finding,) = found_by(vc002_shadowed, examination(shadows=(Shadow(module="torch", path="/project/torch.py"),)))
    assert (finding.severity, finding.path) == (Severity.ERROR, "/project/torch.py")
    assert finding.evidence == (f"the installed torch is {SITE}/torch/__init__.py",)


def test_shadowed_is_told_apart_from_missing() -> None:
    there = examination(shadows=(Shadow(module="peft", path="/project/peft"),))
    assert found_by(vc001_missing, there) == []
    assert found_by(vc002_shadowed, there)[0].message.startswith(
        "a script started in this directory imports /project/peft"
    )


def test_the_checkout_that_is_installed_shadows_nothing() -> None:
    (origin,) = [module.origin for module in examination().environment.modules if module.name == "peft"]
    assert origin is not None
    folder = origin.removesuffix("/__init__.py")
    assert found_by(vc002_shadowed, examination(shadows=(Shadow(module="peft", path=folder),))) == []
