"""Flags that exclude each other in the framework that reads them, or a configuration and code that disagree.

**Why.** `fp16 = True` of a project like VideoChat2 only *switches mixed precision on*; what it computes in is said
elsewhere, and by nobody where no `bf16` key is read: float16, in which Mistral's first loss is 3.1493 and the next NaN.
In transformers' `TrainingArguments` the same two names are dtypes and exclude each other. A DeepSpeed file with a
hard-coded `true` contradicts the run's flags; `"auto"` follows them.

**Bad**

    TrainingArguments(output_dir="out", fp16=True, bf16=True)

    fp16 = True                  # a Mistral configuration, no bf16 key

**Good**

    TrainingArguments(output_dir="out", bf16=True)

    fp16 = True                  # the switch of mixed precision
    bf16 = True                  # its dtype

**Quiet** for the pair `fp16 = True, bf16 = True` of projects whose code reads one as the switch and the other as the
dtype, for `--bf16 True --fp16 False`, for DeepSpeed's `"auto"`, for models trained in float16, and for accelerate's
`downcast_bf16`, which is about TPUs.

**Silence** a line with `# vc2doctor: ignore[VC106]` (in JSON, which has no comments: `per-file-ignores`).

**Since** transformers 4.14 knows `bf16`.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.lint.code import Unit
from vc2doctor.lint.config import Config, Entry, Launch
from vc2doctor.lint.entries import given_to
from vc2doctor.lint.families import Family, family_of
from vc2doctor.lint.model import CodeFinding, CodePlace, Edit
from vc2doctor.lint.rules import making, trainer
from vc2doctor.lint.stage import Stage, infers_by_path
from vc2doctor.lint.values import BFLOAT, HALF
from vc2doctor.lint.weights import Facts

_SWITCHES = ("fp16", "amp", "use_amp", "use_half_precision")


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find flags that contradict each other, or the code."""
    for unit in facts.code.units.values():
        yield from _switches(facts, unit)
        yield from _arguments(facts, unit)
        yield from _defaults(facts, unit)
        yield from (found for launch in unit.launches if not infers_by_path(launch.name) for found in _launch(launch))
        yield from trainer.find(facts, unit)
        yield from _unread(facts, unit)
        yield from _engines(facts, unit)


def _switches(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find configurations that switch float16 on for a model that was trained in bfloat16."""
    if not _computes_in_half(facts, unit):
        return
    loaded = [load.dtypes for load in facts.trained_loads(unit) if not load.inert and load.dtypes & {BFLOAT, HALF}]
    weights_bf16 = bool(loaded) and all(dtypes == {BFLOAT} for dtypes in loaded)
    copies: dict[tuple[str, str], list[tuple[Config, Entry, Family | None]]] = defaultdict(list)
    for config in unit.configs:
        entry = _switch_of(config)
        if entry is None or infers_by_path(config.name) or config.get("evaluate") is True:
            continue
        family = _family(config)
        if family is not None and family.trained == "bfloat16":
            copies[entry.key, family.name].append((config, entry, family))
        elif weights_bf16 and family is None and _names_a_language_model(config):
            copies[entry.key, "weights"].append((config, entry, None))
    for places in copies.values():
        yield _switch(unit, places)


def _unread(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find switches that no code reads: they say a precision, and decide nothing."""
    if not facts.loops_of(unit):
        return
    settings = {config.name for config in unit.configs}
    code = [module for module in unit.modules if module.name not in settings]
    copies: dict[str, list[tuple[Config, Entry]]] = defaultdict(list)
    for config in unit.configs:
        for entry in config.entries if config.kind == "python" else ():
            if entry.key in (*_SWITCHES, "bf16", "use_bf16") and entry.value is True:
                copies[entry.key].append((config, entry))
    for key, places in copies.items():
        if not any(re.search(rf"\b{key}\b", module.source.text) for module in code):
            (config, entry), *rest = places
            yield making.at_entry(
                config,
                entry,
                "VC106",
                Severity.NOTE,
                f"{key} = True, and nothing in this code reads it",
                remedy="Say the precision where the code decides it, and take the key away.",
                also=tuple(CodePlace(path=other.name, line=each.line, end_line=each.line) for other, each in rest),
                role="config",
            )


def _computes_in_half(facts: Facts, unit: Unit) -> bool:
    return any(
        HALF in region.dtypes and region.stage is Stage.TRAINS and not region.autocast.off
        for region in facts.regions
        if facts.code.unit_of(region.place.module) is unit
    )


def _switch_of(config: Config) -> Entry | None:
    if config.kind == "json" or any(
        entry.key.rpartition(".")[2] in ("bf16", "use_bf16") and entry.value is True for entry in config.entries
    ):
        return None
    return next(
        (entry for entry in config.entries if entry.key.rpartition(".")[2] in _SWITCHES and entry.value is True), None
    )


def _family(config: Config) -> Family | None:
    texts = [entry.value for entry in config.entries if isinstance(entry.value, str)]
    keys = [entry.key.rpartition(".")[2] for entry in config.entries if entry.key.endswith("_model_path")]
    found = [family_of(text) for text in (*keys, *texts) if len(text) < 200]  # noqa: PLR2004 - a path or a name, no prose
    families = [family for family in found if family is not None]
    return next((family for family in families if family.trained == "bfloat16"), families[0] if families else None)


def _names_a_language_model(config: Config) -> bool:
    return any(key in entry.key.lower() for entry in config.entries for key in ("llama", "llm", "vicuna"))


def _switch(unit: Unit, places: list[tuple[Config, Entry, Family | None]]) -> CodeFinding:
    config, entry, family = places[0]
    also = tuple(CodePlace(path=other.name, line=each.line, end_line=each.line) for other, each, _ in places[1:])
    count = f", in {len(places)} configurations" if also else ""
    if family is None:
        message = f"{entry.key} switches float16 autocast on, and the code loads the weights in bfloat16{count}"
    else:
        message = (
            f"{entry.key} is on and no bf16 key is: {family.name}, trained in bfloat16, computes in float16{count}"
        )
    severity = family.severity if family is not None else Severity.WARNING
    edits = tuple(edit for each in places for edit in _edits(unit, each[0], each[1]))
    return making.at_entry(
        config,
        entry,
        "VC106",
        severity,
        message,
        evidence=(family.source,) if family else (),
        remedy=f"Keep {entry.key} as the switch, and say the dtype where the code decides it"
        + (": add bf16 = True beside it." if edits else "; nothing reads a bf16 key here."),
        url="https://github.com/OpenGVLab/Ask-Anything/issues/190",
        role="config",
        also=also,
        cause="float16",
        if_missed="the switch itself may stay; switching it off removes the scaler, and leaves the helper in float16",
        bf16=edits,
    )


def _edits(unit: Unit, config: Config, entry: Entry) -> tuple[Edit, ...]:
    if config.kind != "python" or "." in entry.key or not _reads_bf16(unit):
        return ()
    return (
        making.after(
            config.name, entry.line, "bf16 = True  # the dtype; fp16 = True is what switches mixed precision on"
        ),
    )


def _reads_bf16(unit: Unit) -> bool:
    """Say whether the unit's code reads a key ``bf16``."""
    gets = (call for name in ("get", "getattr") for call in unit.calls.get(name, []))
    read = any(isinstance(each, ast.Constant) and each.value == "bf16" for call in gets for each in call.node.args)
    return read or any(
        isinstance(node, ast.Attribute) and node.attr == "bf16"
        for module in unit.modules
        if not infers_by_path(module.name) and "bf16" in module.source.text
        for node in ast.walk(module.source.tree)
    )


def _arguments(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    for name, calls in unit.calls.items():
        if not name.endswith(trainer.ARGUMENTS):
            continue
        for call in calls:
            half, bf16 = call.argument("fp16"), call.argument("bf16")
            # A test may ask for both to see it fail.
            if half is None or bf16 is None or infers_by_path(call.place.module.name):
                continue
            if facts.values.decide(half, call.place) and facts.values.decide(bf16, call.place):
                yield making.at(
                    call.place.module,
                    call.node,
                    "VC106",
                    Severity.ERROR,
                    f"{name} gets fp16 and bf16: they exclude each other here",
                    evidence=("transformers raises ValueError: At most one of fp16 and bf16 can be True",),
                    remedy="Keep bf16=True on an Ampere or newer GPU.",
                    unsafe=(making.keyword(call.place.module, call.node, "fp16", "False"),),
                    url=trainer.URL,
                    role="config",
                )


def _defaults(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find arguments classes whose default makes a run with the other flag fail."""
    for classes in unit.classes.values():
        for cls in classes:
            bases = set(facts.code.bases(cls))
            if not any(base.endswith("TrainingArguments") for base in bases) or _settles(facts, cls.name, unit):
                continue
            for name, statement in _flags_of(cls.node):
                other = "fp16" if name == "bf16" else "bf16"
                yield making.at(
                    cls.module,
                    statement,
                    "VC106",
                    Severity.WARNING,
                    f"{cls.name}.{name} is True by default: a run with {other}=True has both, and fails",
                    evidence=("transformers raises ValueError: At most one of fp16 and bf16 can be True",),
                    remedy=f"Default to None, and settle it in __post_init__: {name} = not {other}.",
                    url=trainer.URL,
                    role="config",
                )


def _flags_of(node: ast.ClassDef) -> Iterator[tuple[str, ast.stmt]]:
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            if name in ("fp16", "bf16") and _default_is_true(statement.value):
                yield name, statement


def _settles(facts: Facts, name: str, unit: Unit) -> bool:
    for cls in unit.classes[name]:
        method = facts.code.method(cls, "__post_init__")
        text = ast.unparse(method.node) if method is not None else ""
        if "bf16" in text and "fp16" in text:
            return True
    return False


def _default_is_true(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return isinstance(value, ast.Constant) and value.value is True


def _launch(launch: Launch) -> Iterator[CodeFinding]:
    half, bf16 = launch.flags.get("--fp16"), launch.flags.get("--bf16")
    if half is not None and bf16 is not None and trainer.is_on(half[0]) and trainer.is_on(bf16[0]):
        yield making.at_line(
            launch.name,
            bf16[1],
            "VC106",
            Severity.ERROR,
            f"{launch.program} is started with --fp16 and --bf16",
            evidence=(f"--fp16 at {launch.name}:{half[1]}",),
            remedy="Keep one: --bf16 True on an Ampere or newer GPU.",
            url=trainer.URL,
            role="launch",
        )


def _engines(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    for config in unit.configs:
        if (
            config.kind != "json"
            or infers_by_path(config.name)
            or not any(entry.key.startswith(("zero_optimization", "train_micro_batch")) for entry in config.entries)
        ):
            continue
        half, bf16 = config.find("fp16.enabled"), config.find("bf16.enabled")
        if half is not None and bf16 is not None and half.value is True and bf16.value is True:
            yield making.at_entry(
                config,
                bf16,
                "VC106",
                Severity.ERROR,
                "this DeepSpeed configuration enables fp16 and bf16",
                evidence=(f"fp16 at {config.name}:{half.line}", "DeepSpeed asserts that they are not both on"),
                remedy='Set both to "auto", and decide by the run\'s flag.',
                url="https://www.deepspeed.ai/docs/config-json/#bfloat16-training-options",
                role="config",
            )
            continue
        if bf16 is None:
            yield from (_no_block(config, launch) for launch in unit.launches if _is_given(config, launch))
        for entry in (half, bf16):
            if entry is not None and entry.value is True and _has_flags(facts, unit):
                yield _hard_coded(unit, config, entry)


def _is_given(config: Config, launch: Launch) -> bool:
    """Say whether a launch trains in bfloat16 with this DeepSpeed file."""
    asked = "--bf16" in launch.flags and trainer.is_on(launch.flags["--bf16"][0])
    return asked and "--deepspeed" in launch.flags and given_to(launch, config)


def _no_block(config: Config, launch: Launch) -> CodeFinding:
    return making.at_line(
        config.name,
        1,
        "VC106",
        Severity.WARNING,
        "this DeepSpeed configuration has no bf16 block, and is used with --bf16: the engine does not hear of it",
        evidence=(f"{launch.name}:{launch.flags['--bf16'][1]} --bf16",),
        remedy='Add "bf16": {"enabled": "auto"}.',
        url="https://huggingface.co/docs/transformers/deepspeed#data-precision",
        role="config",
    )


def _has_flags(facts: Facts, unit: Unit) -> bool:
    """Say whether the unit's precision is decided by flags of transformers' trainer."""
    flagged = any(flag in launch.flags for launch in unit.launches for flag in ("--bf16", "--fp16", "--tf32"))
    return flagged or any(
        base.endswith("TrainingArguments")
        for classes in unit.classes.values()
        for cls in classes
        for base in facts.code.bases(cls)
    )


def _hard_coded(unit: Unit, config: Config, entry: Entry) -> CodeFinding:
    mine = entry.key.partition(".")[0]
    other = "fp16" if mine == "bf16" else "bf16"
    base = config.name.rpartition("/")[2]
    against = [
        f"{launch.name}:{launch.flags[f'--{other}'][1]} --{other}"
        for launch in unit.launches
        if f"--{other}" in launch.flags
        and trainer.is_on(launch.flags[f"--{other}"][0])
        and any(named.endswith(base) for named in launch.configs)
    ]
    return making.at_entry(
        config,
        entry,
        "VC106",
        Severity.ERROR if against else Severity.NOTE,
        f"{mine} is hard-coded on: a run with --{other} contradicts this file",
        evidence=tuple(against),
        remedy='Set it to "auto": it follows the run\'s own flag.',
        url="https://huggingface.co/docs/transformers/deepspeed#data-precision",
        role="config",
    ).model_copy(update={"line": max(1, entry.line - 1), "end_line": entry.line})
