"""Evidence: one measured cell a line."""

from typing import Literal

from packaging.requirements import Requirement
from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.core.precision import Outcome
from vc2doctor.matrix.types import Name, RecipeName, RequirementText, VersionText


class Cell(Data):
    """A combination: the interpreter's minor version and the three packages of the stack."""

    python: str = Field(pattern=r"^3\.\d+$")
    torch: VersionText
    transformers: VersionText
    peft: VersionText


class EvidenceLine(Data):
    """One measured cell: one line of ``matrices/evidence/*.jsonl``."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str
    """Of the cell, in the noxfile."""
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    worker: str
    cell: Cell
    asked: tuple[RequirementText, ...] = ()
    """What the resolver was asked for beside the cell's three packages: ``numpy<2``."""
    install: Literal["installed", "unsatisfiable", "no-wheel", "build-failed"] = "installed"
    install_message: str | None = None
    """What the resolver said, where it installed nothing."""
    resolved: dict[Name, VersionText]
    """What the resolver chose for the distributions that the stack leans on."""
    platform: str
    device: str
    import_failure: Failure | None = None
    recipes: dict[RecipeName, Outcome]
    failures: dict[RecipeName, Failure] = Field(default_factory=dict)
    """Of the recipes whose outcome is ``error``."""
    adapter: Literal["same", "different", "error", "not reached"]
    """Whether save, reload and generate gave the trained model back."""
    adapter_failure: Failure | None = None
    """What save, reload or generate raised."""
    seconds: float

    @property
    def text(self) -> str:
        """The line as it stands in a file."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @property
    def versions(self) -> dict[str, str]:
        """Every version that is known of the cell, Python's among them: what was pinned, chosen, and asked for."""
        pinned = {}
        for text in self.asked:
            requirement = Requirement(text)
            for one in requirement.specifier:
                if one.operator == "==":
                    pinned[requirement.name] = one.version
        return {**pinned, **self.resolved, **self.cell.model_dump()}

    def trains(self, recipe: str) -> bool | None:
        """Return whether this cell trains under ``recipe``; ``None``: it was not measured there."""
        if self.import_failure is not None or self.install != "installed":
            return False
        outcomes = [self.recipes.get(name, "unsupported") for name in ("fp32", recipe)]
        if any(outcome not in ("finite", "unsupported") for outcome in outcomes):
            return False
        if "unsupported" in outcomes:
            return None
        return self.adapter == "same"
