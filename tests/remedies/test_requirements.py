"""What installed packages declare: requirements that apply, and those of extras that nobody asked for."""

from __future__ import annotations

from tests.facts import distribution, environment
from vc2doctor.remedies.requirements import violated_extras

KERNELS = "kernels<0.13,>=0.12.0; extra == 'kernels'"


def violated(*requires: str, kernels: str = "0.15.1") -> list[str]:
    packages = (distribution("transformers", "5.5.0", requires=requires), distribution("kernels", kernels))
    return [str(requirement) for requirement in violated_extras(environment(distributions=packages))]


def test_an_installed_package_that_an_extra_excludes_is_reported_without_the_marker() -> None:
    assert violated(KERNELS) == ["kernels<0.13,>=0.12.0"]


def test_a_package_within_the_extra_is_not_reported() -> None:
    assert violated(KERNELS, kernels="0.12.3") == []


def test_a_requirement_without_an_extra_is_not_one_of_an_extra() -> None:
    assert violated("kernels<0.13", "kernels<0.13; python_version >= '3.8'") == []


def test_an_extra_whose_package_is_not_installed_is_not_reported() -> None:
    assert violated("sagemaker>=99; extra == 'sagemaker'", "not a requirement!; extra == 'x'") == []
