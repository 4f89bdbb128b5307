"""Modules that the working directory shadows."""

from __future__ import annotations

from tests.checks import findings_of
from tests.facts import SITE, examination
from vc2doctor.checks import vc001_missing, vc002_shadowed
from vc2doctor.environment.model import Shadow
from vc2doctor.findings import Severity


def test_directory_without_shadows_has_no_finding() -> None:
    assert findings_of(vc002_shadowed, examination()) == []


def test_file_with_the_name_of_a_package_is_an_error() -> None:
    (finding,) = findings_of(vc002_shadowed, examination(shadows=(Shadow(module="torch", path="/project/torch.py"),)))
    assert (finding.severity, finding.path) == (Severity.ERROR, "/project/torch.py")
    assert finding.evidence == (f"the installed torch is at {SITE}/torch/__init__.py",)


def test_shadowed_package_is_not_reported_as_missing() -> None:
    shadowed = examination(shadows=(Shadow(module="peft", path="/project/peft"),))
    assert findings_of(vc001_missing, shadowed) == []
    assert findings_of(vc002_shadowed, shadowed)[0].message.startswith(
        "a script started in this directory imports /project/peft"
    )


def test_installed_checkout_does_not_shadow_itself() -> None:
    (origin,) = [module.origin for module in examination().environment.modules if module.name == "peft"]
    assert origin is not None
    folder = origin.removesuffix("/__init__.py")
    assert findings_of(vc002_shadowed, examination(shadows=(Shadow(module="peft", path=folder),))) == []
