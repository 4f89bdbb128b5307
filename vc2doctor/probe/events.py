"""Folds the worker's events into facts. An event that makes no sense is counted, and changes nothing."""

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from vc2doctor.core.failure import Failure
from vc2doctor.probe.facts import (
    AdapterRun,
    Adapters,
    BreakLocation,
    Device,
    Ending,
    Headroom,
    ImportedPackage,
    Inspection,
    LoadedModel,
    Measure,
    Operation,
    ProbeRun,
    RecipeFailure,
    RecipeRun,
    SelfTestRun,
    Step,
    StressRun,
)
from vc2doctor.target.shared.protocol import PROTOCOL
from vc2doctor.target.shared.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from vc2doctor.core.child import ChildRun

_Event = dict[str, Any]
_MOST_STEPS, _MOST_STRESS, _MOST_MEASURES = 1000, 20, 200
_STRICT = TypeAdapter(int)


class Fold:
    """The facts so far; ``take`` events in order, then ask for the ``run``."""

    def __init__(self) -> None:
        self.stage = "starting"
        self._rubbish = 0
        self._worker: str | None = None
        self._protocol: int | None = None
        self._ended = False
        self._facts: dict[str, Any] = {}
        self._imports: list[ImportedPackage] = []
        self._plain: dict[str, dict[str, Any]] = {}
        self._recipes = self._plain
        """Those that events are about: of the plain subject, or of the one with planted outliers."""
        self._stress: list[dict[str, Any]] = []
        self._measures: list[Measure] = []
        self.takers: dict[str, Callable[[_Event], None]] = {
            "start": self._start,
            "importing": self._importing,
            "import": self._import,
            "import-failed": self._import_failed,
            "device": self._device,
            "device-failed": self._device_failed,
            "loading": self._loading,
            "loaded": self._loaded,
            "load-failed": self._load_failed,
            "recipe": self._recipe,
            "adapters": self._adapters,
            "step": self._step,
            "movement": self._movement,
            "recipe-unsupported": self._unsupported,
            "recipe-failed": self._failed,
            "recipe-end": self._recipe_end,
            "adapter": self._adapter,
            "headroom": self._headroom,
            "range-broken": self._range_broken,
            "warm": self._warm,
            "headroom-failed": self._headroom_failed,
            "self-test": self._self_test,
            "inspection": self._inspection,
            "located": self._located,
            "locate-failed": lambda _: None,
            "experiment": self._experiment,
            "stress": self._stress_begins,
            "stress-end": self._stress_ends,
            "measuring": self._measuring,
            "measure": self._measure,
            "end": self._end,
        }

    def take(self, event: _Event) -> None:
        """Take one event in."""
        kind = event.get("event")
        taker = self.takers.get(kind) if isinstance(kind, str) else None
        fields = {name: value for name, value in event.items() if name != "event"}
        try:
            if taker is None:
                raise KeyError(kind)  # noqa: TRY301 - the same fate as an event without its fields
            taker(fields)
        except (KeyError, TypeError, ValidationError):
            self._rubbish += 1

    def run(self, child: "ChildRun") -> ProbeRun:
        """Return the facts, given how the process went."""
        return ProbeRun(
            ending=self._ending(child),
            worker=self._worker,
            stage=self.stage,
            imports=tuple(self._imports),
            recipes=_runs(self._plain),
            stress=tuple(StressRun(**{**fields, "recipes": _runs(fields["recipes"])}) for fields in self._stress),
            measures=tuple(self._measures),
            child=child,
            malformed_events=self._rubbish + child.malformed_events,
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
        self.stage = f"importing {str(fields['package'])[:40]}"

    def _import(self, fields: _Event) -> None:
        self._imports.append(ImportedPackage(**fields))

    def _import_failed(self, fields: _Event) -> None:
        self._facts["import_failure"] = Failure(**fields["error"])
        self._facts["import_package"] = str(fields["package"])

    def _device(self, fields: _Event) -> None:
        self._facts["device"] = Device(**fields)

    def _device_failed(self, fields: _Event) -> None:
        self._facts["device_failure"] = Failure(**fields["error"])

    def _loading(self, _: _Event) -> None:
        self.stage = "loading what was named"

    def _loaded(self, fields: _Event) -> None:
        self._facts["loaded"] = LoadedModel(**fields)
        self.stage = "measuring its range"

    def _load_failed(self, fields: _Event) -> None:
        self._facts["load_failure"] = Failure(**fields["error"])

    def _recipe(self, fields: _Event) -> None:
        name = str(fields["recipe"])
        if name not in RECIPES:
            raise KeyError(name)
        self._recipes[name] = RecipeRun(recipe=name).model_dump()
        planted = f" with {self._stress[-1]['plant']}" if self._stress else ""
        self.stage = f"training under {name}{planted}"

    def _adapters(self, fields: _Event) -> None:
        name = fields.pop("recipe")
        self._recipes[name]["adapters"] = Adapters(**fields)

    def _step(self, fields: _Event) -> None:
        recipe = self._recipes[fields.pop("recipe")]
        step = Step(**fields)
        if len(recipe["steps"]) < _MOST_STEPS:
            recipe["steps"] = (*recipe["steps"], step)

    def _movement(self, fields: _Event) -> None:
        # Checked as part of a whole, so that a lie cannot spoil the facts around it.
        made = RecipeRun(recipe=fields["recipe"], moved=fields["share"], vanished=fields.get("vanished"))
        self._recipes[fields["recipe"]].update(moved=made.moved, vanished=made.vanished)

    def _unsupported(self, fields: _Event) -> None:
        self._recipes[fields["recipe"]]["unsupported"] = str(fields["reason"])

    def _failed(self, fields: _Event) -> None:
        name = fields.pop("recipe")
        self._recipes[name]["failure"] = RecipeFailure(**fields)

    def _recipe_end(self, fields: _Event) -> None:
        seconds = RecipeRun(recipe=fields["recipe"], seconds=fields["seconds"]).seconds
        self._recipes[fields["recipe"]].update(finished=True, seconds=seconds)
        if "adapter" not in self._facts:
            self.stage = "saving, reloading and generating"

    def _adapter(self, fields: _Event) -> None:
        self._facts["adapter"] = AdapterRun(**fields)

    def _warm(self, fields: _Event) -> None:
        self._facts["warm_up"] = RecipeRun(recipe="warm-up", seconds=fields["seconds"]).seconds

    def _headroom(self, fields: _Event) -> None:
        facts = self._stress[-1] if self._recipes is not self._plain else self._facts
        facts["headroom"] = Headroom(**fields)

    def _range_broken(self, fields: _Event) -> None:
        if self._recipes is self._plain:
            self._facts["range_broken"] = Operation(**fields)

    def _headroom_failed(self, fields: _Event) -> None:
        failure = Failure(**fields["error"])
        if self._recipes is self._plain:
            self._facts["headroom_failure"] = failure

    def _self_test(self, fields: _Event) -> None:
        whole = {"recipe": "self-test", "finished": True}
        faulty, clean = (RecipeRun(**{**fields[name], **whole}) for name in ("faulty", "clean"))
        self._facts["self_test"] = SelfTestRun(fault=fields["fault"], faulty=faulty, clean=clean)

    def _stress_begins(self, fields: _Event) -> None:
        begun = StressRun(**fields)
        if len(self._stress) < _MOST_STRESS:
            self._recipes = {}
            self._stress.append({"plant": begun.plant, "recipes": self._recipes})

    def _stress_ends(self, _: _Event) -> None:
        self._recipes = self._plain

    def _measuring(self, fields: _Event) -> None:
        self.stage = f"measuring {str(fields['name'])[:40]}"

    def _measure(self, fields: _Event) -> None:
        measure = Measure(**fields)
        if len(self._measures) < _MOST_MEASURES:
            self._measures.append(measure)

    def _inspection(self, fields: _Event) -> None:
        self._facts["inspection"] = Inspection(**fields)

    def _located(self, fields: _Event) -> None:
        name = fields.pop("recipe")
        self._recipes[name]["located"] = BreakLocation(**fields)

    def _experiment(self, fields: _Event) -> None:
        recipe = self._recipes[fields["recipe"]]
        made = RecipeRun(recipe=fields["recipe"], experiments={fields["change"]: fields["mended"]})
        recipe["experiments"] = {**recipe["experiments"], **made.experiments}

    def _end(self, _: _Event) -> None:
        self._ended = True
        self.stage = "done"


def _runs(recipes: dict[str, dict[str, Any]]) -> tuple[RecipeRun, ...]:
    return tuple(RecipeRun(**fields) for fields in recipes.values())
