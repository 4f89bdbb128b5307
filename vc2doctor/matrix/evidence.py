"""Evidence: each line of a file is one measured cell."""

from collections.abc import Iterable
from functools import cached_property
from typing import Literal

from packaging.requirements import Requirement
from pydantic import Field

from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.core.precision import Outcome
from vc2doctor.matrix.types import Name, RecipeName, RequirementText, VersionText


class Cell(Data):
    """A combination: the minor version of the interpreter, and the three packages of the stack."""

    python: str = Field(pattern=r"^3\.\d+$")
    torch: VersionText
    transformers: VersionText
    peft: VersionText


def pins(requirements: Iterable[str]) -> dict[str, str]:
    """Return the exact versions that requirements ask for, by distribution; ``==1.*`` is none."""
    clauses = ((each.name, clause) for each in map(Requirement, requirements) for clause in each.specifier)
    return {
        name: clause.version
        for name, clause in clauses
        if clause.operator == "==" and not clause.version.endswith(".*")
    }


class EvidenceLine(Data):
    """One measured cell: one line of ``matrices/evidence/*.jsonl``."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: str
    """The name of the cell: one from the noxfile, or its versions in words."""
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    worker: str
    """Version of the probe's worker. A newer one may measure more."""
    cell: Cell
    asked: tuple[RequirementText, ...] = ()
    """Requirements that the resolver got beside the three packages of the cell, such as ``numpy<2``."""
    install: Literal["installed", "unsatisfiable", "no-wheel", "build-failed"] = "installed"
    install_message: str | None = None
    """The message of the resolver or installer, if the installation failed."""
    resolved: dict[Name, VersionText]
    """Versions that the resolver chose for the packages that the stack depends on."""
    platform: str
    device: str
    import_failure: Failure | None = None
    recipes: dict[RecipeName, Outcome]
    failures: dict[RecipeName, Failure] = Field(default_factory=dict)
    """The exceptions of the recipes whose outcome is ``error``."""
    adapter: Literal["same", "different", "error", "not reached"]
    """Whether a model that was saved and reloaded generates the same as the trained one."""
    adapter_failure: Failure | None = None
    """The exception of save, reload or generate."""
    doors: dict[str, Literal["passed", "failed", "unsupported"]] | None = None
    """Outcome by door of ``target/doors``, beside the plain loop; ``None``: this line measured the plain loop only."""
    door_failures: dict[str, Failure] = Field(default_factory=dict)
    """The exceptions of the doors that failed."""
    door_packages: dict[Name, VersionText] = Field(default_factory=dict)
    """Versions of the packages that only doors need, such as trl."""
    seconds: float

    @property
    def door_outcomes(self) -> dict[str, Literal["passed", "failed", "unsupported"]]:
        """The outcome by door; empty if this line measured the plain loop only."""
        return self.doors or {}

    @property
    def text(self) -> str:
        """The line as JSON, without a line break."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Every known version, by distribution (and ``python``): requirements, resolved packages, the cell."""
        return {**pins(self.asked), **self.installed, **self.cell.model_dump()}

    @property
    def installed(self) -> dict[str, str]:
        """The versions of the recorded packages beside the stack, those included that only doors need."""
        return {**self.door_packages, **self.resolved}

    @property
    def beside(self) -> frozenset[str]:
        """The packages that only doors need, such as torchao: what fails in their code is no fact about the stack."""
        return frozenset(self.door_packages.keys() - self.resolved.keys())

    def trains(self, recipe: str) -> bool | None:
        """Return whether this cell trains under ``recipe``; ``None``: the recipe was not measured."""
        if self.import_failure is not None or self.install != "installed":
            return False
        outcomes = [self.recipes.get(name, "unsupported") for name in ("fp32", recipe)]
        if any(outcome not in ("finite", "unsupported") for outcome in outcomes):
            return False
        if "unsupported" in outcomes:
            return None
        return self.adapter == "same"
