"""Gradient clipping that is off, in the wrong place, or never reaches what trains.

**Why.** One step with a gradient of 1e4 times the usual size throws a half-precision run off its course. `-1` means
"off" in many configurations; reaching `clip_grad_norm_` itself, measured, a norm of -1 turns the gradients round
([3, 4] becomes [-0.6, -0.8]) and 0 makes them zero. Clipping before `unscale_` compares a scaled norm with the limit,
so it clips everything. Under DeepSpeed the clipping of the loop is bypassed: only `gradient_clipping` of its own
configuration counts. Gradients that are NaN stay NaN after clipping.

**Bad**

    optimizer = dict(lr=2e-5, max_grad_norm=-1)
    ds_config.update({"gradient_clipping", config.max_grad_norm})    # a set, not a dict: it raises

**Good**

    optimizer = dict(lr=2e-5, max_grad_norm=1.0)
    ds_config["gradient_clipping"] = config.optimizer.max_grad_norm

**Quiet** where the limit is positive, for configurations that only evaluate, and after `unscale_`. The value of the
limit is yours: it is suggested, never written.

**Silence** a line with `# vc2doctor: ignore[VC105]`.

**Since** torch 0.4.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.lint.code import Unit
from vc2doctor.lint.config import Config, Entry
from vc2doctor.lint.entries import given_to
from vc2doctor.lint.model import CodeFinding, CodePlace
from vc2doctor.lint.module import Call, Module, last_name
from vc2doctor.lint.precision import HALVES, Loop
from vc2doctor.lint.rules import making
from vc2doctor.lint.rules.vc104_scaling import scaling
from vc2doctor.lint.stage import infers_by_path
from vc2doctor.lint.values import config_key
from vc2doctor.lint.weights import Facts

_KEYS = ("max_grad_norm", "clip_grad", "grad_clip", "gradient_clip_val", "gradient_clipping", "clip_grad_norm")
_CLIPS = {"clip_grad_norm_", "clip_grad_value_", "clip_gradients", "clip_grad_norm", "clip_grads", "dispatch_clip_grad"}
_URL = "https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find clipping that does not do what it is there for."""
    for unit in facts.code.units.values():
        yield from _off(unit)
        loops = facts.loops_of(unit)
        yield from (found for loop in loops for found in _in_loop(facts, loop))
        if loops:
            yield from _engine(facts, unit, loops)


def _off(unit: Unit) -> Iterator[CodeFinding]:
    copies: dict[tuple[str, str], list[tuple[Config, Entry]]] = defaultdict(list)
    for config in unit.configs:
        if not _trains_in_half(config) or infers_by_path(config.name):
            continue
        for entry in config.entries:
            if entry.key.rpartition(".")[2] in _KEYS and _is_off(entry.value) and not _overridden(unit, config, entry):
                copies[entry.key, repr(entry.value)].append((config, entry))
    for (key, value), places in copies.items():
        config, entry = places[0]
        also = tuple(CodePlace(path=other.name, line=each.line, end_line=each.line) for other, each in places[1:])
        count = f", in {len(places)} configurations" if also else ""
        yield making.at_entry(
            config,
            entry,
            "VC105",
            Severity.WARNING,
            f"{key} = {value}: gradients are not clipped, in half precision{count}",
            evidence=(
                "a negative limit is off where the loop guards with `> 0`; clip_grad_norm_ itself would turn the gradients round",
            )
            if value.startswith("-")
            else (),
            remedy=f"Set it to a positive limit, for example {key.rpartition('.')[2]}=1.0.",
            url=_URL,
            also=also,
        )


def _overridden(unit: Unit, config: Config, entry: Entry) -> bool:
    """Say whether every launch with this configuration sets a positive limit: ``optimizer.max_grad_norm 5``."""
    mine = [launch for launch in unit.launches if given_to(launch, config)]
    return bool(mine) and all(_is_positive(launch.flags.get(entry.key, (None, 0))[0]) for launch in mine)


def _is_positive(value: str | None) -> bool:
    try:
        return value is not None and float(value) > 0
    except ValueError:
        return False


def _trains_in_half(config: Config) -> bool:
    if config.get("evaluate") is True or config.get("run.evaluate") is True:
        return False
    keys = {
        entry.key.rpartition(".")[2]
        for entry in config.entries
        if entry.value in (True, "fp16", "bf16", "float16", "bfloat16")
    }
    return bool(keys & {"fp16", "bf16", "amp", "use_half_precision", "mixed_precision", "use_bf16", "use_amp"})


def _is_off(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= 0


def _in_loop(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    module = loop.function.module
    mine = [call for call in module.calls if call.place.function is loop.function]
    clips = [call for call in mine if call.name in _CLIPS]
    for call in clips:
        yield from _limit(facts, call)
    scaled = scaling(facts, loop)
    unscaled = [call for call in mine if call.name == "unscale_"]
    for call in clips if scaled else []:
        if (
            call.name in ("clip_grad_norm_", "clip_grad_value_")
            and not _is_engine(call)
            and not _is_unscaled(call, unscaled, scaled)
        ):
            yield making.at(
                module,
                call.node,
                "VC105",
                Severity.ERROR,
                "gradients are clipped while they are still scaled",
                evidence=(
                    f"scaled at {making.place(module, scaled[0].node).told}; no scaler.unscale_(optimizer) comes before",
                ),
                remedy="Call scaler.unscale_(optimizer) before the clipping.",
                url=making.AMP_EXAMPLES,
            )
    if not clips and _steps(mine) and _half(facts, loop) and not _clips_deeper(facts, mine):
        first = loop.backwards[0]
        last = max(
            (call.node.end_lineno or 0 for call in mine if call.name in ("step", "update", "zero_grad")),
            default=first.node.lineno,
        )
        node = first.place.statement or first.node
        found = making.at(
            module,
            node,
            "VC105",
            Severity.NOTE,
            "no gradient clipping in a half-precision loop, and no key for it",
            remedy="Clip after unscale_ and before the step: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).",
            url=_URL,
        )
        yield found.model_copy(update={"end_line": max(found.end_line or 0, last)})


def _is_engine(call: Call) -> bool:
    return isinstance(call.node.func, ast.Attribute) and last_name(call.node.func.value) in (
        "accelerator",
        "fabric",
        "model",
        "model_engine",
    )


def _is_unscaled(clip: Call, unscaled: list[Call], scaled: list[Call]) -> bool:
    before = [call for call in unscaled if call.node.lineno <= clip.node.lineno]
    # In a branch of its own (bfloat16) the clip belongs to no scaled pass.
    apart = all(_apart(clip, call) for call in scaled)
    return bool(before) or apart


def _apart(one: Call, other: Call) -> bool:
    wanted = {id(test): want for test, want in one.place.tests}
    return any(id(test) in wanted and wanted[id(test)] is not want for test, want in other.place.tests)


def _limit(facts: Facts, call: Call) -> Iterator[CodeFinding]:
    given = call.argument("max_norm", 1)
    if given is None or call.name != "clip_grad_norm_":
        return
    values = facts.values.of(given, call.place)
    guarded = any(ast.unparse(given) in ast.unparse(test) for test, _ in call.place.tests)
    bad = [value for value in values if _is_off(value)]
    if bad and not guarded:
        effect = "turns every gradient round" if min(bad) < 0 else "makes every gradient zero"
        yield making.at(
            call.place.module,
            call.node,
            "VC105",
            Severity.ERROR,
            f"clip_grad_norm_ gets {min(bad)}: it {effect}",
            evidence=("measured: max_norm=-1 turns [3, 4] into [-0.6, -0.8]; 0 gives zeros",),
            remedy=f"Clip only where it is positive: if {making.code(given)} > 0.",
            url=_URL,
        )


def _steps(calls: list[Call]) -> bool:
    return any(call.name == "step" and "optim" in ast.unparse(call.node).lower() for call in calls)


def _half(facts: Facts, loop: Loop) -> bool:
    return any(region.dtypes & HALVES and facts.values.reached(region.place) is not False for region in loop.regions)


def _clips_deeper(facts: Facts, calls: list[Call]) -> bool:
    for call in calls:
        target = facts.code.called(call)
        if target is not None and any(
            isinstance(node, ast.Call) and last_name(node.func) in _CLIPS for node in ast.walk(target.node)
        ):
            return True
        if any(word in ast.unparse(call.node) for word in ("clip_grad", "max_norm", "grad_clip")):
            return True
    return False


def _engine(facts: Facts, unit: Unit, loops: list[Loop]) -> Iterator[CodeFinding]:
    """Find DeepSpeed engines that no clipping value reaches."""
    broken = list(_broken(unit))
    yield from broken
    if any(config.kind == "json" and config.find("gradient_clipping") for config in unit.configs):
        return
    for loop in loops:
        reach = facts.code.reach(loop.function.module)
        made = [module for module in unit.modules if id(module) in reach and _makes_engine_config(module)]
        faults = [each for each in broken if any(each.path == module.name for module in made)]
        if not made or (not faults and any("gradient_clipping" in module.source.text for module in made)):
            continue
        for call in loop.backwards:
            receiver = call.node.func.value if isinstance(call.node.func, ast.Attribute) else call.node.func
            if call.node.args and last_name(receiver) in ("model", "engine", "model_engine") and call.place.tests:
                found = making.at(
                    loop.function.module,
                    call.node,
                    "VC105",
                    Severity.WARNING,
                    "under DeepSpeed no clipping reaches the engine: the clipping of this loop is bypassed",
                    evidence=tuple(f"{each.path}:{each.line}: {each.message}" for each in faults)
                    or (f"{made[0].name} writes the engine's configuration without gradient_clipping",),
                    remedy='Give the engine "gradient_clipping" in its configuration.',
                    url="https://www.deepspeed.ai/docs/config-json/#gradient-clipping",
                )
                around = call.place.tests[-1][0]
                yield found.model_copy(update={"line": around.lineno, "end_line": call.node.lineno + 1})


def _makes_engine_config(module: Module) -> bool:
    return "train_micro_batch_size_per_gpu" in module.source.text and not infers_by_path(module.name)


def _broken(unit: Unit) -> Iterator[CodeFinding]:
    for call in unit.calls.get("update", []):
        given = call.node.args[0] if call.node.args else None
        if not isinstance(given, ast.Set) or not any(
            isinstance(each, ast.Constant) and each.value in _KEYS for each in given.elts
        ):
            continue
        module = call.place.module
        if infers_by_path(module.name):
            continue
        assert isinstance(call.node.func, ast.Attribute)  # noqa: S101 - a method's call
        owner = ast.unparse(call.node.func.value)
        evidence = ["dict.update of a set raises TypeError or ValueError, by which element comes first"]
        start = call.node.lineno
        for test, _ in call.place.tests[-1:]:
            start = test.lineno
            missing = _never_set(unit, test)
            if missing:
                evidence.append(missing)
        key, *values = given.elts
        found = making.at(
            module,
            call.node,
            "VC105",
            Severity.ERROR,
            f"{making.code(call.node)} gives a set where a dict is meant, so the clipping never reaches the engine",
            evidence=tuple(evidence),
            remedy=f"{owner}[{making.code(key)}] = {making.code(values[0]) if values else '…'}",
            url="https://www.deepspeed.ai/docs/config-json/#gradient-clipping",
            safe=(
                making.replace(module, given, f"{{{making.source(module, key)}: {making.source(module, values[0])}}}"),
            )
            if len(values) == 1
            else (),
        )
        yield found.model_copy(update={"line": start})


def _never_set(unit: Unit, test: ast.expr) -> str | None:
    for node in ast.walk(test):
        if (
            isinstance(node, ast.Call)
            and last_name(node.func) == "get"
            and node.args
            and isinstance(node.func, ast.Attribute)
        ):
            root = config_key(node.func.value, whole=True)
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if root == "" and isinstance(name, str):
                exact = [config for config in unit.configs if any(entry.key == name for entry in config.entries)]
                deeper = [
                    entry.key for config in unit.configs for entry in config.entries if entry.key.endswith(f".{name}")
                ]
                if not exact and deeper:
                    return f"it reads {name}, and the configurations define {deeper[0]}: the branch is never taken"
    return None
