"""A known issue: one publicly reported defect."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from packaging.requirements import Requirement
from pydantic import AfterValidator, Field

from vc2doctor.core.data import Data
from vc2doctor.core.versions import ABSENT, contains, holds
from vc2doctor.matrix.types import Condition, Name, Pattern, RecipeName, RequirementText, Url
from vc2doctor.target.doors import door_named


class KnownIssue(Data):
    """One reported defect: which versions have it, how it shows, and which versions fix it."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    severity: Literal["error", "warning", "note"]
    explanation: str
    symptom: Pattern
    """A regular expression that matches the message of the exception that the defect raises."""
    recipes: tuple[RecipeName, ...] = ()
    """The recipes that the defect affects; empty means all of them."""
    model_types: tuple[str, ...] = ()
    """The models that have the defect, as ``model_type`` in config.json names them; empty means all of them."""
    doors: tuple[Annotated[str, AfterValidator(door_named)], ...] = ()
    """The doors that have the defect; empty means the plain loop, and with it all of them. Issues of single doors
    become constraints when the matrix is compiled, so ``blocks`` and ``concerns`` are about the others."""
    probe_sees: bool = True
    """Whether the probe runs the defective code. If so, a probe that trains outweighs the report."""
    import_name: str = ""
    """The import package that has the defect: it is an error where the training code imports it."""
    when: tuple[dict[Name, Condition], ...] = Field(min_length=1)
    """Alternatives. One of them applies if every named distribution is installed in a matching version, or is
    not installed if the condition is ``absent``."""
    fix: tuple[tuple[RequirementText, ...], ...] = Field(min_length=1)
    """Alternatives, the best first. Each of them fixes the defect."""
    sources: tuple[Url, ...] = Field(min_length=1)
    evidence: str
    """How the boundaries of ``when`` were found."""

    def applies_to(self, versions: Mapping[str, str]) -> bool:
        """Return whether installed ``versions`` (by distribution) have the defect."""
        return any(holds(alternative, versions) for alternative in self.when)

    def applying(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        """Return the first alternative that applies to ``versions``; empty if none does."""
        return next((alternative for alternative in self.when if holds(alternative, versions)), {})

    def affects(self, recipe: str) -> bool:
        """Return whether the defect shows when training under ``recipe``."""
        return not self.recipes or recipe in self.recipes

    def is_of(self, model_types: Sequence[str]) -> bool | None:
        """Return whether a model of these types has the defect; ``None``: its type is not known, and some have it."""
        if not self.model_types:
            return True
        return bool(set(self.model_types) & set(model_types)) if model_types else None

    def blocks(self, recipe: str, model_types: Sequence[str] = ()) -> bool:
        """Return whether the defect makes training a model of these types under ``recipe`` fail."""
        is_general = not self.doors and self.is_of(model_types) is True
        return is_general and self.severity == "error" and self.affects(recipe)

    @property
    def undeclared(self) -> str | None:
        """The package whose installation is the first fix, in any version; ``None``: the first fix is another one."""
        (name, *others) = self.fix[0]
        is_absent = not others and any(alternative.get(name) == ABSENT for alternative in self.when)
        return name if is_absent else None

    def is_fixed_by(self, versions: Mapping[str, str]) -> bool:
        """Return whether versions are those of one of the fixes, beyond not being those of the defect."""
        return any(
            all(
                requirement.name in versions and contains(str(requirement.specifier), versions[requirement.name])
                for requirement in map(Requirement, fix)
            )
            for fix in self.fix
        )

    def concerns(self, recipe: str) -> bool:
        """Return whether a user who trains under ``recipe`` should read about the defect: an error or a warning."""
        return not self.doors and self.severity != "note" and self.affects(recipe)
