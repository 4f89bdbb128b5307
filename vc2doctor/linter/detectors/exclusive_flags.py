"""fp16 and bf16 both on: as arguments, as defaults of a class of arguments, and as flags of a launch."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.detectors import trainer_flags
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.shell import Launch


def exclusive_arguments(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield calls that give both flags to transformers' arguments."""
    for name, calls in unit.calls.items():
        if not name.endswith(trainer_flags.ARGUMENTS):
            continue
        for call in calls:
            half, bf16 = call.argument("fp16"), call.argument("bf16")
            # A test may ask for both to see it fail.
            if half is None or bf16 is None or infers_by_path(call.place.module.name):
                continue
            if facts.values.decide(half, call.place) and facts.values.decide(bf16, call.place):
                yield build.at(
                    call.place.module,
                    call.node,
                    "VC106",
                    Severity.ERROR,
                    f"{name} gets fp16 and bf16: they exclude each other here",
                    evidence=("transformers raises ValueError: At most one of fp16 and bf16 can be True",),
                    remedy="Keep bf16=True on an Ampere or newer GPU.",
                    unsafe=(change.keyword(call.place.module, call.node, "fp16", "False"),),
                    url=trainer_flags.URL,
                    role="config",
                )


def exclusive_defaults(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Find arguments classes whose default makes a run with the other flag fail."""
    for classes in unit.classes.values():
        for cls in classes:
            bases = set(facts.code.bases(cls))
            if not any(base.endswith("TrainingArguments") for base in bases) or _settles(facts, cls.name, unit):
                continue
            for name, statement in _flags_of(cls.node):
                other = "fp16" if name == "bf16" else "bf16"
                yield build.at(
                    cls.module,
                    statement,
                    "VC106",
                    Severity.WARNING,
                    f"{cls.name}.{name} is True by default: a run with {other}=True has both, and fails",
                    evidence=("transformers raises ValueError: At most one of fp16 and bf16 can be True",),
                    remedy=f"Default to None, and settle it in __post_init__: {name} = not {other}.",
                    url=trainer_flags.URL,
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


def exclusive_flags(launch: Launch) -> Iterator[CodeFinding]:
    """Yield a launch that passes both flags."""
    half, bf16 = launch.flags.get("--fp16"), launch.flags.get("--bf16")
    if half is not None and bf16 is not None and trainer_flags.is_on(half[0]) and trainer_flags.is_on(bf16[0]):
        yield build.at_line(
            launch.name,
            bf16[1],
            "VC106",
            Severity.ERROR,
            f"{launch.program} is started with --fp16 and --bf16",
            evidence=(f"--fp16 at {launch.name}:{half[1]}",),
            remedy="Keep one: --bf16 True on an Ampere or newer GPU.",
            url=trainer_flags.URL,
            role="launch",
        )
