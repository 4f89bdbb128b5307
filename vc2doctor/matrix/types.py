"""Text fields of matrix entries, each validated when a file is read."""

from collections.abc import Callable
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field

from vc2doctor.core import patterns
from vc2doctor.core.versions import ABSENT, MAX_REQUIREMENT_LENGTH
from vc2doctor.target.shared.recipes import RECIPES

MAX_QUOTED = 60
"""Characters of a value that is too long, in a message."""


def _validator(parse: Callable[[str], object], invalid: type[Exception], expected: str) -> Callable[[str], str]:
    """Return a function that returns its argument if ``parse`` accepts it, and raises ``ValueError`` otherwise."""

    def validate(value: str) -> str:
        if len(value) > MAX_REQUIREMENT_LENGTH:
            message = f"{value[:MAX_QUOTED]!r}… has {len(value):,} characters; {expected} has fewer"
            raise ValueError(message)
        try:
            parse(value)
        except invalid as error:
            message = f"{value!r} is not {expected}"
            raise ValueError(message) from error
        return value

    return validate


check_version = _validator(Version, InvalidVersion, "a version (PEP 440) such as '2.5.1'")
_check_specifier = _validator(SpecifierSet, InvalidSpecifier, "a version specifier such as '>=0.7,<0.12'")
_check_requirement = _validator(Requirement, InvalidRequirement, "a requirement such as 'peft>=0.18'")


def _check_condition(value: str) -> str:
    return value if value == ABSENT else _check_specifier(value)


def _check_name(value: str) -> str:
    if canonicalize_name(value) != value:
        message = f"{value!r} is not a canonical distribution name (PEP 503); write {canonicalize_name(value)!r}"
        raise ValueError(message)
    return value


def _check_recipe(value: str) -> str:
    if value not in RECIPES:
        message = f"{value!r} is not a recipe; choose one of {', '.join(RECIPES)}"
        raise ValueError(message)
    return value


def _check_pattern(value: str) -> str:
    try:
        patterns.compiled(value)
    except patterns.PatternError as error:
        message = f"not a regular expression: {error}"
        raise ValueError(message) from error
    return value


Name = Annotated[str, AfterValidator(_check_name)]
Specifier = Annotated[str, AfterValidator(_check_specifier)]
Condition = Annotated[str, AfterValidator(_check_condition)]
"""A specifier, or ``absent``: the distribution is not installed."""
VersionText = Annotated[str, AfterValidator(check_version)]
RecipeName = Annotated[str, AfterValidator(_check_recipe)]
RequirementText = Annotated[str, AfterValidator(_check_requirement)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
Url = Annotated[str, Field(pattern=r"^https://\S+$")]
