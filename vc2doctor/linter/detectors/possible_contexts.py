"""The functions that a program may run in half precision, with the dtypes that their arguments may have there.

This is the second reading beside ``half_contexts``, which proves dtypes. In real programs the proof is lost: a registry
makes the criterion, an engine is configured in a file. Here a parameter called ``logits`` is taken for half wherever a
program trains in half precision, and what follows is a note.
"""

import ast
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache

from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.float32_casts import is_of_float32
from vc2doctor.linter.analyse.half_contexts import HalfContext
from vc2doctor.linter.analyse.outside_regions import OutsideClasses
from vc2doctor.linter.analyse.stage import is_inference_name, is_torch_module, is_without_gradients, words
from vc2doctor.linter.analyse.tensor_kinds import Kind, Mode, TensorContext
from vc2doctor.linter.detectors.half_programs import half_contexts
from vc2doctor.linter.detectors.possible_programs import CRITERION_WORDS, HalfProgram, half_programs
from vc2doctor.linter.knowledge.autocast_ops import SETS_OWN_DTYPE
from vc2doctor.linter.read.module import Call, Class, Function, Module, last_name

MAX_CONTEXTS = 4
"""Ways of running one function that are tried."""
_OTHER_WORK = frozenset(
    {
        *("data", "dataset", "datasets", "dataloader", "dataloaders", "transform", "transforms", "augment", "vis"),
        *(
            "visualize",
            "visualization",
            "plot",
            "plots",
            "tokenizer",
            "tokenization",
            "logger",
            "logging",
            "env",
            "envs",
        ),
        *("download", "scripts", "simulation", "metric", "collate"),
    }
)
"""Words of paths and names of code that prepares data, draws or measures: it computes in float32 or with numpy."""
_SETS_UP = re.compile(r"__init__|_?init_|_?reset|configure|_?load|_?save|from_|register|log_|state_dict")
"""Beginnings of the names of methods that run before the training or beside it."""
_BY_NAME = re.compile(r"__dict__\[")
"""How a program builds a model that its command names: ``models.__dict__[args.model]()``."""
_TELLS_NOTHING = frozenset({"valid", "sample", "decode", "answer", "rank", "caption", "merge"})
"""Words of functions that evaluate, and also of parts of a forward pass: ``get_valid_mask``, ``decode``."""
_ACTIVATIONS = frozenset(
    {
        *(
            "hidden",
            "feat",
            "feats",
            "feature",
            "features",
            "embed",
            "embeds",
            "embedding",
            "embeddings",
            "emb",
            "embs",
        ),
        *("logit", "logits", "logps", "query", "key", "value", "queries", "keys", "values", "attn"),
        *("score", "scores", "latent", "latents", "memory", "repr", "similarity", "sim"),
    }
)
"""Words of parameters that hold what layers gave."""
_PREDICTIONS = frozenset({"pred", "preds", "prediction", "predictions", "prob", "probs", "logit", "logits", "out"})
"""Words of parameters that hold what a model gave, in a criterion."""
_INPUTS = frozenset({"input", "inputs", "x", "sigma"})
"""Further such words. In other functions they can be float32: the images, the noise of a schedule."""
_COLLECTIONS = frozenset({"outputs", "output", "predictions"})
_LABELS = frozenset({"target", "targets", "label", "labels", "gt", "true"})
_GIVEN = frozenset(
    {
        *(*_LABELS, "y", "truth", "mask", "masks", "length", "lengths"),
        *("weight", "weights", "reward", "rewards", "advantage", "advantages", "id", "ids", "idx", "index", "num", "t"),
        *("timestep", "timesteps", "step", "eps", "dim", "size", "coords", "box", "boxes", "bbox"),
    }
)
"""Words of parameters that the batch or the code gives: integers, or float32."""


@lru_cache(maxsize=2)
def possible_contexts(facts: Facts) -> "PossibleContexts":
    """Return the ways in which the training of a project may run its functions in half precision."""
    return PossibleContexts(facts)


class PossibleContexts:
    """The functions of one project that training may run in half precision."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.known = half_contexts(facts)
        self._answers: dict[Function, tuple[HalfContext, ...]] = {}
        self._modules: dict[Module, tuple[HalfProgram, ...]] = {}
        self._programs_of: dict[HalfContext, list[HalfProgram]] = {}
        self._outside: dict[frozenset[Class], OutsideClasses] = {}
        self._closures: dict[frozenset[Module], frozenset[Module]] = {}
        self._builders: dict[Class, frozenset[Module]] = {}

    @cached_property
    def _programs(self) -> tuple[HalfProgram, ...]:
        units = self.facts.code.units.values()
        return tuple(dict.fromkeys(each for unit in units for each in half_programs(self.facts, unit)))

    def of(self, function: Function) -> tuple[HalfContext, ...]:
        """Return the ways in which training may run a function; empty: no program in half precision reaches it."""
        if function not in self._answers:
            is_left_out = not function.name or self._is_left_out(function)
            self._answers[function] = () if is_left_out else tuple(self._contexts(function))[:MAX_CONTEXTS]
        return self._answers[function]

    def may_have(self, module: Module) -> bool:
        """Return whether training may run some function of a module in half precision."""
        return bool(self.programs_around(module)) or any(self.known.of(each) for each in module.functions)

    def programs_around(self, module: Module) -> tuple[HalfProgram, ...]:
        """Return the programs in half precision that import a module, or that a module with a region belongs to."""
        if module not in self._modules:
            self._modules[module] = tuple(each for each in self._programs if module in self._around(each))
        return self._modules[module]

    def _around(self, program: HalfProgram) -> frozenset[Module]:
        """Return the modules of the programs that import a start of a program."""
        if program.starts not in self._closures:
            code, around = self.facts.code, set[Module]()
            units = {code.unit_of(module) for module in program.starts}
            for module in (module for unit in units for module in unit.modules):
                closure = code.import_closure(module)
                if program.starts & closure and not self.facts.stages.infers_by_path(module):
                    around |= closure
            self._closures[program.starts] = frozenset(around)
        return self._closures[program.starts]

    def _is_left_out(self, function: Function) -> bool:
        module = function.module
        is_of_data = "dataset" in module.name.lower()
        if (
            is_of_data
            or self.facts.stages.infers_by_path(module)
            or words(module.name.removesuffix(".py")) & _OTHER_WORK
        ):
            return True
        calls = self.facts.code.callers(function)
        if calls and not is_of_criterion(function) and all(is_without_gradients(call.place) for call in calls):
            return True
        decorated = any(
            last_name(getattr(each, "func", each)) in SETS_OWN_DTYPE
            or ("no_grad" in ast.unparse(each) and not is_of_criterion(function))
            or "enabled=False" in ast.unparse(each)
            for scope in function.scopes()
            for each in scope.decorators
        )
        named = any(is_inference_name(scope.name) for scope in function.scopes() if not _is_part(scope))
        beside = words(function.name) & _OTHER_WORK or _SETS_UP.match(function.name)
        return decorated or named or bool(beside)

    def _contexts(self, function: Function) -> list[HalfContext]:
        """Return the ways that are proved, with what their parameters may be beside, and those of the programs around.

        Whether a program uses the class of the function is asked later, with ``is_used``: it takes long.
        """
        contexts = self.known.of(function)
        in_float32 = {
            name for each in contexts for name, kind in each.tensors.arguments.items() if kind is Kind.FLOAT32
        }
        in_float32 |= self._cast_by_callers(function)
        proved = [_assuming(context, in_float32) for context in contexts]
        known = {context.tensors.mode for context in proved}
        found: dict[Mode, list[HalfProgram]] = {}
        for program in self.programs_around(function.module) if Mode.HALF_MODEL not in known else ():
            mode = self._mode(function, program)
            if mode is not None and mode not in known:
                found.setdefault(mode, []).append(program)
        ways = []
        for mode, programs in found.items():
            arguments = {**assumed(function, mode), **dict.fromkeys(in_float32, Kind.FLOAT32)}
            tensors = TensorContext(function, mode, arguments, is_assumed=True)
            dtypes = frozenset(dtype for program in programs for dtype in program.dtypes)
            way = HalfContext(tensors, dtypes, programs[0].why)
            self._programs_of[way] = programs
            ways.append(way)
        return [*ways, *proved]

    def _cast_by_callers(self, function: Function) -> set[str]:
        """Return the parameters that every caller of a function takes to float32."""
        calls = self.facts.code.callers(function)
        names = function.parameters() if calls else []
        return {name for name in names if all(_is_given_float32(call, function, name) for call in calls)}

    def is_used(self, way: HalfContext) -> bool:
        """Return whether a program runs a function in a way; those that are proved are used."""
        cls = way.tensors.function.cls
        programs = self._programs_of.get(way)
        return programs is None or cls is None or any(self._uses(program, cls) for program in programs)

    def _mode(self, function: Function, program: HalfProgram) -> Mode | None:
        """Return what decides dtypes where a program runs a function; ``None``: it is not run in half precision."""
        cls = function.cls
        if cls is None and not self.facts.code.callers(function):
            return None
        is_criterion = is_of_criterion(function)
        is_module = cls is not None and is_torch_module(self.facts.code, cls)
        if program.mode is Mode.HALF_MODEL:
            return Mode.HALF_MODEL
        if not is_module and not is_criterion and cls is not None:
            # A trainer or an agent opens the regions itself, which the other reading follows.
            return None
        if is_criterion and program.returns_float32:
            return None
        return Mode.PLAIN if is_criterion and program.has_criteria_outside else Mode.AUTOCAST

    def _is_outside(self, cls: Class, used: frozenset[Class]) -> bool:
        """Return whether a class is only called where autocast is off."""
        if used not in self._outside:
            self._outside[used] = OutsideClasses(self.facts.code, self.known.tensors, used)
        return self._outside[used].has(cls)

    def _uses(self, program: HalfProgram, cls: Class) -> bool:
        """Return whether a program uses a class: by reach, by a name that its command gives, or beside a used class.

        A default of the command line may leave out the branch that builds a class, and another command takes it.
        """
        unit = self.facts.code.unit_of(cls.module)
        used = self.facts.reach.classes_of(unit, program.starts)
        if program.mode is Mode.AUTOCAST and self._is_outside(cls, used):
            return False
        if any(_BY_NAME.search(module.source.text) for module in program.starts):
            return True
        if cls.module in program.starts and self.facts.code.method(cls, "training_step") is not None:
            return True
        if cls in used or any(cls in self.facts.code.mro(each) for each in used if each.module is cls.module):
            return True
        builders = self._builders_of(cls)
        around = {each.module for each in used if each.module in builders}
        around = {each for each in around if cls.module in self.facts.code.import_closure(each)}
        around |= {each for each in builders & self._around(program) if not each.classes}
        return bool(around) or _has_sibling(cls, used)

    def _builders_of(self, cls: Class) -> frozenset[Module]:
        """Return the other modules of a unit that call a class by its name."""
        if cls not in self._builders:
            calls = self.facts.code.unit_of(cls.module).calls.get(cls.name, [])
            self._builders[cls] = frozenset(call.place.module for call in calls) - {cls.module}
        return self._builders[cls]


def _has_sibling(cls: Class, used: frozenset[Class]) -> bool:
    """Return whether a program uses a class beside another one that extends the same class of the project.

    A file of trainers has one for each loss, and a program picks one of them.
    """
    bases = {last_name(base) for base in cls.node.bases} - {"Module", "object", "ABC"}
    siblings = (each for each in used if each.module is cls.module)
    return "forward" in cls.methods and any(bases & {last_name(base) for base in each.node.bases} for each in siblings)


def _is_given_float32(call: Call, function: Function, name: str) -> bool:
    argument = call.argument(name, function.position(name))
    return argument is not None and is_of_float32(call, argument)


def _is_part(function: Function) -> bool:
    """Return whether a method can be a part of a forward pass, although its name has a word of evaluation."""
    is_of_module = function.cls is not None and "forward" in function.cls.methods
    return is_of_module and bool(words(function.name) & _TELLS_NOTHING)


def is_of_criterion(function: Function) -> bool:
    """Return whether a function computes a loss, by its name or that of its class."""
    name = f"{function.cls.name if function.cls is not None else ''} {function.name}"
    return bool(words(name) & CRITERION_WORDS)


def _assuming(context: HalfContext, in_float32: set[str]) -> HalfContext:
    """Return a proved way of running a function, with what its unknown parameters may be.

    A parameter that gets float32 in some call is not taken for half.
    """
    tensors = context.tensors
    known = {name: kind for name, kind in tensors.arguments.items() if kind is not Kind.UNKNOWN}
    may_be = {name: kind for name, kind in assumed(tensors.function, tensors.mode).items() if name not in in_float32}
    arguments = {**may_be, **known}
    assuming = TensorContext(tensors.function, tensors.mode, arguments, outputs=tensors.outputs, is_assumed=True)
    return HalfContext(assuming, context.dtypes, context.why)


def assumed(function: Function, mode: Mode) -> Mapping[str, Kind]:
    """Return what the parameters of a function may be where training runs it in half precision, by their names."""
    is_criterion = is_of_criterion(function)
    attention = {"q", "k", "v"} & set(function.parameters())
    attention = attention if len(attention) > 1 else set()
    kinds: dict[str, Kind] = {}
    for name in function.parameters():
        named = words(name)
        if name in ("self", "cls"):
            continue
        if named & _PREDICTIONS and not named & _LABELS:
            kinds[name] = Kind.HALF
        elif named & _GIVEN:
            kinds[name] = Kind.FLOAT32
        elif named & _COLLECTIONS and is_criterion:
            kinds[name] = Kind.CONTAINER if "outputs" in named else Kind.HALF
        elif (
            named & _ACTIVATIONS or name in attention or ((is_criterion or mode is Mode.HALF_MODEL) and named & _INPUTS)
        ):
            kinds[name] = Kind.HALF
    return kinds
