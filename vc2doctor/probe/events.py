"""Reads the worker's events into facts. A malformed event is counted and changes nothing."""

from functools import partial
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name
from pydantic import TypeAdapter, ValidationError

from vc2doctor.core.failure import Failure
from vc2doctor.probe.facts import (
    AdapterRun,
    Adapters,
    Device,
    DoorRun,
    Ending,
    Headroom,
    ImportedPackage,
    Measure,
    NamesRun,
    Operation,
    PlanRate,
    ProbeRun,
    RecipeFailure,
    RecipeRun,
    SelfTestRun,
    Step,
    StressRun,
    VariantRun,
)
from vc2doctor.probe.failed_step import (
    BreakLocation,
    Broadcast,
    Graph,
    MadeInForward,
    NoSignal,
    Recomputation,
    SilentNode,
    StepWarning,
    Unregistered,
    Untouched,
)
from vc2doctor.probe.file_trials import FilesRun
from vc2doctor.probe.gradient_range import GradientRange
from vc2doctor.probe.log_ratio import LogRatio, LogRatios
from vc2doctor.probe.scaled_formats import ScaledWeights
from vc2doctor.probe.subject_facts import Architecture, ArchitectureFailure, Inspection, LoadedModel
from vc2doctor.target.doors import DOORS
from vc2doctor.target.shared.protocol import PROTOCOL
from vc2doctor.target.shared.recipes import RECIPES
from vc2doctor.target.shared.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from vc2doctor.core.child import ChildRun
    from vc2doctor.core.data import Data

_Event = dict[str, Any]
MAX_STEPS, MAX_STRESS_RUNS, MAX_MEASURES, MAX_DISTRIBUTIONS, MAX_LOG_RATIOS = 1000, 20, 200, 2000, 20
"""Events of a kind that are kept: the worker runs foreign code, which can send any number of events."""
MAX_NAME = 40
"""Characters of a reported name that a stage shows."""
MAX_REASON = 500
"""Characters of a reason that are kept."""
MAX_WARNINGS = 20
"""Warnings of a recipe that are kept."""
_FACTS_OF_A_RECIPE: "dict[str, Callable[..., Data]]" = {
    "adapters": Adapters,
    "plan-rate": PlanRate,
    "located": BreakLocation,
    "graph": Graph,
    "untouched": Untouched,
    "no-signal": NoSignal,
    "silent": SilentNode,
    "once-only": SilentNode,
    "recomputation": Recomputation,
    "made-in-forward": MadeInForward,
    "unregistered": Unregistered,
}
"""By event: the fact that a recipe keeps under this name."""
_FACTS_OF_THE_RUN: "dict[str, tuple[str, Callable[..., Data]]]" = {
    "device": ("device", Device),
    "architecture": ("architecture", Architecture),
    "architecture-failed": ("architecture_failure", ArchitectureFailure),
    "inspection": ("inspection", Inspection),
    "gradients": ("gradients", GradientRange),
    "scaled": ("scaled", ScaledWeights),
    "names": ("names", NamesRun),
    "files": ("files", FilesRun),
    "adapter": ("adapter", AdapterRun),
}
"""By event: the fact that a run keeps, and its name there."""
_STRICT = TypeAdapter(int)


class EventReader:
    """Collects facts: ``take`` the events in order, then call ``run``."""

    def __init__(self, rounds_planned: int = 0) -> None:
        self.stage = "starting"
        """What the worker is doing, in words."""
        self._rounds_planned, self._rounds_begun = rounds_planned, 0
        self._malformed = 0
        self._worker: str | None = None
        self._protocol: int | None = None
        self._ended = False
        self._facts: dict[str, Any] = {}
        self._imports: list[ImportedPackage] = []
        self._plain_recipes: dict[str, dict[str, Any]] = {}
        self._recipes = self._plain_recipes
        """The recipes that events are about: those of the plain subject, or of the one with planted outliers."""
        self._stress: list[dict[str, Any]] = []
        self._variants: dict[str, dict[str, Any]] = {}
        self._measures: list[Measure] = []
        self._doors: dict[str, DoorRun] = {}
        self.handlers = self._handlers()

    def _handlers(self) -> "dict[str, Callable[[_Event], None]]":
        """Return the methods that read an event, by kind of event."""
        return {
            **self._handlers_of_recipes(),
            **{kind: partial(self._fact_of_run, name, read) for kind, (name, read) in _FACTS_OF_THE_RUN.items()},
            "start": self._start,
            "importing": self._importing,
            "import": self._import,
            "import-failed": self._import_failed,
            "device-failed": self._device_failed,
            "warm": self._warm,
            "self-test": self._self_test,
            "loading": self._loading,
            "loaded": self._loaded,
            "load-failed": self._load_failed,
            "headroom": self._headroom,
            "range-broken": self._range_broken,
            "headroom-failed": self._headroom_failed,
            "gradients-unmeasured": self._gradients_unmeasured,
            "gradients-failed": self._gradients_failed,
            "log-ratio": self._log_ratio,
            "log-ratio-failed": self._log_ratio_failed,
            # The report then has no such figures.
            "scaled-failed": lambda _: None,
            "stress": self._stress_start,
            "stress-end": self._stress_end,
            "variant": self._variant_start,
            "variant-end": self._variant_end,
            "measuring": self._measuring,
            "measure": self._measure,
            "door": self._door,
            "door-end": self._door_end,
            "distributions": self._distributions,
            "end": self._end,
        }

    def _handlers_of_recipes(self) -> "dict[str, Callable[[_Event], None]]":
        """Return the methods that read an event on one recipe."""
        return {
            "recipe": self._recipe,
            "step": self._step,
            "movement": self._movement,
            "recipe-unsupported": self._recipe_unsupported,
            "recipe-failed": self._recipe_failed,
            "recipe-end": self._recipe_end,
            # The outcome stands without its place.
            "locate-failed": lambda _: None,
            "experiment": self._experiment,
            "checkpointing": self._checkpointing,
            **{kind: partial(self._fact, kind, read) for kind, read in _FACTS_OF_A_RECIPE.items()},
            "warnings": self._warnings,
            "broadcast": self._broadcast,
        }

    def take(self, event: _Event) -> None:
        """Read one event."""
        kind = event.get("event")
        handler = self.handlers.get(kind) if isinstance(kind, str) else None
        fields = {name: value for name, value in event.items() if name != "event"}
        try:
            if handler is None:
                raise KeyError(kind)
            handler(fields)
        except (LookupError, StopIteration, TypeError, ValidationError):
            self._malformed += 1

    def run(self, child: "ChildRun") -> ProbeRun:
        """Return the facts; ``child`` says how the process ended."""
        return ProbeRun(
            ending=self._ending(child),
            worker=self._worker,
            stage=self.stage,
            imports=tuple(self._imports),
            recipes=_runs(self._plain_recipes),
            stress=tuple(StressRun(**{**fields, "recipes": _runs(fields["recipes"])}) for fields in self._stress),
            variants=tuple(
                VariantRun(**{**fields, "variant": name, "recipes": _runs(fields["recipes"])})
                for name, fields in self._variants.items()
            ),
            measures=tuple(self._measures),
            doors=tuple(self._doors.values()),
            child=child,
            malformed_events=self._malformed + child.malformed_events,
            rounds_planned=self._rounds_planned,
            rounds_begun=self._rounds_begun,
            **self._facts,
        )

    def _ending(self, child: "ChildRun") -> Ending:
        if child.ending in ("interrupted", "flood"):
            return "interrupted" if child.ending == "interrupted" else "flood"
        if self._worker is None:
            return "silent" if child.ending != "timeout" else "timeout"
        if self._protocol != PROTOCOL:
            return "protocol"
        if child.ending == "signal" and child.signal == "SIGKILL" and child.out_of_memory:
            return "out-of-memory"
        if child.ending in ("timeout", "signal"):
            return "timeout" if child.ending == "timeout" else "signal"
        return "finished" if self._ended and child.code == 0 else "exit"

    def _start(self, fields: _Event) -> None:
        self._protocol, self._worker = _STRICT.validate_python(fields["protocol"]), str(fields["worker"])

    def _importing(self, fields: _Event) -> None:
        self.stage = f"importing {str(fields['package'])[:MAX_NAME]}"

    def _import(self, fields: _Event) -> None:
        self._imports.append(ImportedPackage(**fields))

    def _import_failed(self, fields: _Event) -> None:
        self._facts["import_failure"] = Failure(**fields["error"])
        self._facts["import_package"] = str(fields["package"])

    def _device_failed(self, fields: _Event) -> None:
        self._facts["device_failure"] = Failure(**fields["error"])

    def _loading(self, _: _Event) -> None:
        self.stage = "loading your model"

    def _loaded(self, fields: _Event) -> None:
        self._facts["loaded"] = LoadedModel(**fields)
        self.stage = "measuring the range of your model"

    def _load_failed(self, fields: _Event) -> None:
        self._facts["load_failure"] = Failure(**fields["error"])

    def _recipe(self, fields: _Event) -> None:
        name = str(fields["recipe"])
        if name not in RECIPES:
            raise KeyError(name)
        self._recipes[name] = RecipeRun(recipe=name).model_dump()
        planted = f" with the planted outliers {self._stress[-1]['plant']}" if self._stress else ""
        if self._variants:
            planted = f" {VARIANTS[next(reversed(self._variants))].title}"
        self._rounds_begun += 1
        count = f" ({self._rounds_begun} of {self._rounds_planned})" if self._rounds_planned > 1 else ""
        self.stage = f"training under {name}{planted}{count}"

    def _step(self, fields: _Event) -> None:
        recipe = self._recipes[fields.pop("recipe")]
        step = Step(**fields)
        if len(recipe["steps"]) < MAX_STEPS:
            recipe["steps"] = (*recipe["steps"], step)

    def _movement(self, fields: _Event) -> None:
        # Validate the values before they are stored: an invalid one would make the whole recipe invalid.
        valid = RecipeRun(recipe=fields["recipe"], moved=fields["share"], vanished=fields.get("vanished"))
        self._recipes[fields["recipe"]].update(moved=valid.moved, vanished=valid.vanished)

    def _recipe_unsupported(self, fields: _Event) -> None:
        self._recipes[fields["recipe"]]["unsupported"] = str(fields["reason"])

    def _recipe_failed(self, fields: _Event) -> None:
        name = fields.pop("recipe")
        self._recipes[name]["failure"] = RecipeFailure(**fields)

    def _recipe_end(self, fields: _Event) -> None:
        seconds = RecipeRun(recipe=fields["recipe"], seconds=fields["seconds"]).seconds
        self._recipes[fields["recipe"]].update(finished=True, seconds=seconds)
        if "adapter" not in self._facts:
            self.stage = "saving and reloading the adapter, and generating"

    def _warm(self, fields: _Event) -> None:
        self._facts["warm_up"] = RecipeRun(recipe="warm-up", seconds=fields["seconds"]).seconds

    def _headroom(self, fields: _Event) -> None:
        headroom = Headroom(**fields)
        if self._recipes is self._plain_recipes:
            self._facts["headroom"] = headroom
        elif not self._variants:
            self._stress[-1]["headroom"] = headroom

    def _range_broken(self, fields: _Event) -> None:
        if self._recipes is self._plain_recipes:
            self._facts["range_broken"] = Operation(**fields)

    def _headroom_failed(self, fields: _Event) -> None:
        failure = Failure(**fields["error"])
        if self._recipes is self._plain_recipes:
            self._facts["headroom_failure"] = failure

    def _gradients_unmeasured(self, fields: _Event) -> None:
        self._facts["gradients_unmeasured"] = str(fields["reason"])[:MAX_REASON]

    def _gradients_failed(self, fields: _Event) -> None:
        self._facts["gradients_unmeasured"] = Failure(**fields["error"]).description[:MAX_REASON]

    def _log_ratio(self, fields: _Event) -> None:
        measured: LogRatios = self._facts.get("log_ratios", LogRatios())
        if len(measured.pairs) < MAX_LOG_RATIOS:
            pairs = (*measured.pairs, LogRatio(**fields))
            self._facts["log_ratios"] = measured.model_copy(update={"pairs": pairs})

    def _log_ratio_failed(self, fields: _Event) -> None:
        measured: LogRatios = self._facts.get("log_ratios", LogRatios())
        failures = {**measured.failures, str(fields["dtype"])[:MAX_NAME]: Failure(**fields["error"])}
        if len(failures) <= MAX_LOG_RATIOS:
            self._facts["log_ratios"] = measured.model_copy(update={"failures": failures})

    def _self_test(self, fields: _Event) -> None:
        added = {"recipe": "self-test", "finished": True}
        faulty, clean = (RecipeRun(**{**fields[name], **added}) for name in ("faulty", "clean"))
        self._facts["self_test"] = SelfTestRun(fault=fields["fault"], faulty=faulty, clean=clean)

    def _stress_start(self, fields: _Event) -> None:
        valid = StressRun(**fields)
        if len(self._stress) < MAX_STRESS_RUNS:
            self._recipes = {}
            self._stress.append({"plant": valid.plant, "recipes": self._recipes})

    def _stress_end(self, _: _Event) -> None:
        self._recipes = self._plain_recipes

    def _variant_start(self, fields: _Event) -> None:
        name = VARIANTS[fields["variant"]].name
        self._recipes = {}
        self._variants[name] = {"recipes": self._recipes}

    def _variant_end(self, fields: _Event) -> None:
        name = next(reversed(self._variants))
        valid = VariantRun(variant=name, finished=True, repeats=fields["repeats"])
        self._variants[name].update(finished=valid.finished, repeats=valid.repeats)
        self._recipes = self._plain_recipes

    def _measuring(self, fields: _Event) -> None:
        self.stage = f"measuring {str(fields['name'])[:MAX_NAME]}"

    def _measure(self, fields: _Event) -> None:
        measure = Measure(**fields)
        if len(self._measures) < MAX_MEASURES:
            self._measures.append(measure)

    def _door(self, fields: _Event) -> None:
        door = DOORS[fields["door"]]
        self._doors[door.name] = DoorRun(**fields)
        self.stage = f"{'training through' if fields['trains'] else 'importing'} {door.title}"

    def _door_end(self, fields: _Event) -> None:
        started = self._doors[fields["door"]]
        self._doors[started.door] = DoorRun(**{**fields, "trains": started.trains, "finished": True})

    def _distributions(self, fields: _Event) -> None:
        names = tuple(canonicalize_name(str(name)) for name in fields["names"][:MAX_DISTRIBUTIONS])
        self._facts["distributions"] = tuple(sorted(set(names)))

    def _experiment(self, fields: _Event) -> None:
        recipe = self._recipes[fields["recipe"]]
        valid = RecipeRun(recipe=fields["recipe"], experiments={fields["change"]: fields["helps"]})
        recipe["experiments"] = {**recipe["experiments"], **valid.experiments}

    def _checkpointing(self, fields: _Event) -> None:
        valid = RecipeRun(recipe=fields["recipe"], checkpointed=fields["blocks"])
        self._recipes[fields["recipe"]]["checkpointed"] = valid.checkpointed

    def _fact(self, kind: str, read: "Callable[..., Data]", fields: _Event) -> None:
        """Keep a fact on a recipe under the name of its event."""
        name = fields.pop("recipe")
        self._recipes[name][kind.replace("-", "_")] = read(**fields)

    def _fact_of_run(self, name: str, read: "Callable[..., Data]", fields: _Event) -> None:
        self._facts[name] = read(**fields)

    def _warnings(self, fields: _Event) -> None:
        warnings = tuple(StepWarning(**each) for each in fields["warnings"][:MAX_WARNINGS])
        self._recipes[fields["recipe"]]["warnings"] = warnings

    def _broadcast(self, fields: _Event) -> None:
        if self._recipes is self._plain_recipes:
            self._facts["broadcast"] = Broadcast(**fields)

    def _end(self, _: _Event) -> None:
        self._ended = True
        self.stage = "done"


def _runs(recipes: dict[str, dict[str, Any]]) -> tuple[RecipeRun, ...]:
    return tuple(RecipeRun(**fields) for fields in recipes.values())
