"""A known issue: one reported defect."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vc2doctor.core.data import Data
from vc2doctor.core.versions import holds
from vc2doctor.matrix.types import Name, RecipeName, RequirementText, Specifier, Url, check_pattern


class KnownIssue(Data):
    """One reported defect: where it strikes, how it shows, what mends it."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    severity: Literal["error", "warning", "note"]
    explanation: str
    symptom: Annotated[str, AfterValidator(check_pattern)]
    """A regular expression that finds the defect's message in what was raised."""
    recipes: tuple[RecipeName, ...] = ()
    """The recipes that it spoils; none named means all of them."""
    probe_sees: bool = True
    """Whether the probe runs into it: then a probe that trains outweighs a report."""
    when: tuple[dict[Name, Specifier], ...] = Field(min_length=1)
    """Alternatives; in one, every named distribution is installed in the named versions."""
    fix: tuple[tuple[RequirementText, ...], ...] = Field(min_length=1)
    """Alternatives, the best first; each mends the defect."""
    sources: tuple[Url, ...] = Field(min_length=1)
    evidence: str
    """How the boundaries were found."""

    def applies_to(self, versions: Mapping[str, str]) -> bool:
        """Return whether the defect is there in a combination of installed ``versions``, by distribution."""
        return any(holds(alternative, versions) for alternative in self.when)

    def affects(self, recipe: str) -> bool:
        """Return whether the defect shows when training under ``recipe``."""
        return not self.recipes or recipe in self.recipes

    def blocks(self, recipe: str) -> bool:
        """Return whether the defect makes training under ``recipe`` fail."""
        return self.severity == "error" and self.affects(recipe)

    def concerns(self, recipe: str) -> bool:
        """Return whether someone who trains under ``recipe`` should know of the defect: an error or a warning."""
        return self.severity != "note" and self.affects(recipe)
