"""The kinds of text that entries of a matrix hold, each checked when it is read."""

import re
from typing import Annotated

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field

from vc2doctor.target.shared.recipes import RECIPES


def _name(value: str) -> str:
    if canonicalize_name(value) != value:
        message = f"{value!r} is not a canonical distribution name; write {canonicalize_name(value)!r}"
        raise ValueError(message)
    return value


def _specifier(value: str) -> str:
    try:
        SpecifierSet(value)
    except InvalidSpecifier as error:
        message = f"{value!r} is not a version specifier such as '>=0.7,<0.12'"
        raise ValueError(message) from error
    return value


def _version(value: str) -> str:
    try:
        Version(value)
    except InvalidVersion as error:
        message = f"{value!r} is not a version (PEP 440)"
        raise ValueError(message) from error
    return value


def _recipe(value: str) -> str:
    if value not in RECIPES:
        message = f"{value!r} is not a recipe; there are {', '.join(RECIPES)}"
        raise ValueError(message)
    return value


def check_pattern(value: str) -> str:
    """Return ``value``, a regular expression.

    Raises:
        ValueError: it is none.
    """
    try:
        re.compile(value)
    except re.error as error:
        message = f"not a regular expression: {error}"
        raise ValueError(message) from error
    return value


def _requirement(value: str) -> str:
    try:
        Requirement(value)
    except InvalidRequirement as error:
        message = f"{value!r} is not a requirement such as 'peft>=0.18'"
        raise ValueError(message) from error
    return value


Name = Annotated[str, AfterValidator(_name)]


Specifier = Annotated[str, AfterValidator(_specifier)]


VersionText = Annotated[str, AfterValidator(_version)]


RecipeName = Annotated[str, AfterValidator(_recipe)]


RequirementText = Annotated[str, AfterValidator(_requirement)]


Url = Annotated[str, Field(pattern=r"^https://\S+$")]
