"""fp16 and bf16 both on: as arguments, as defaults of a class of arguments, or as flags of a launch."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.dtypes import of_flag
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.runs import Run
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.trainer_calls import ARGUMENTS_CLASSES
from vc2doctor.linter.detectors.trainer_flags import TRAINER_URL
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Class
from vc2doctor.linter.read.run_settings import Precision, Setting

_EXCLUSIVE_FOR = ("transformers", "llama-factory")
"""Those for which both flags together are an error. Axolotl and ms-swift settle the pair themselves."""
_RAISES = "transformers raises ValueError: At most one of fp16 and bf16 can be True"


def exclusive_arguments(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield calls that give both flags to the arguments of transformers' trainer."""
    for name, calls in unit.calls.items():
        for call in calls if name.endswith(ARGUMENTS_CLASSES) else ():
            fp16, bf16 = call.argument("fp16"), call.argument("bf16")
            # A test may give both to see that it fails.
            if fp16 is None or bf16 is None or is_inference_path(call.place.module.name):
                continue
            if facts.values.truth(fp16, call.place) and facts.values.truth(bf16, call.place):
                yield _both_given(call)


def _both_given(call: Call) -> CodeFinding:
    module = call.place.module
    fp16, bf16 = call.argument("fp16"), call.argument("bf16")
    kept, dropped = (f"{name}={build.code(value)}" for name, value in (("bf16", bf16), ("fp16", fp16)) if value)
    return build.at_node(
        module,
        call.node,
        "VC106",
        Severity.ERROR,
        f"{call.name} gets fp16 and bf16: they exclude each other here",
        evidence=(_RAISES,),
        remedy=f"Keep {kept} on an Ampere or newer GPU, and leave {dropped} out.",
        unsafe_edits=(change.set_keyword(module, call.node, "fp16", "False"),),
        url=TRAINER_URL,
        role="config",
    )


def exclusive_defaults(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield defaults of arguments classes that make a run with the other flag fail."""
    for classes in unit.classes.values():
        for cls in classes:
            is_of_trainer = any(base.endswith("TrainingArguments") for base in facts.code.base_names(cls))
            if is_of_trainer and not _settles_flags(facts, cls.name, unit):
                for name, statement in _true_defaults(cls.node):
                    is_asked = _launch_asks_for_both(unit, name)
                    yield _true_by_default(cls, name, statement, is_asked=is_asked)


def _launch_asks_for_both(unit: Unit, name: str) -> bool:
    """Return whether a command asks for the other flag, and leaves this one at its default."""
    other = "--fp16" if name == "bf16" else "--bf16"
    all_flags = (launch.flags for launch in unit.launches)
    return any(other in flags and of_flag(flags[other]) and f"--{name}" not in flags for flags in all_flags)


def _settles_flags(facts: Facts, name: str, unit: Unit) -> bool:
    """Return whether ``__post_init__`` of a class with this name handles both flags."""
    for cls in unit.classes[name]:
        method = facts.code.method(cls, "__post_init__")
        text = ast.unparse(method.node) if method is not None else ""
        if "bf16" in text and "fp16" in text:
            return True
    return False


def _true_defaults(node: ast.ClassDef) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the flags of a class whose default is true, each with its statement."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            if name in ("fp16", "bf16") and _default_is_true(statement.value):
                yield name, statement


def _default_is_true(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        # The default of a dataclass field: `field(default=True)`.
        value = next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)
    return isinstance(value, ast.Constant) and value.value is True


def _true_by_default(cls: Class, name: str, statement: ast.stmt, *, is_asked: bool) -> CodeFinding:
    other = "fp16" if name == "bf16" else "bf16"
    return build.at_node(
        cls.module,
        statement,
        "VC106",
        # The error is loud and names both flags. Where no command asks for the other one, it is not raised now.
        Severity.WARNING if is_asked else Severity.NOTE,
        f"{cls.name}.{name} is True by default: a run with {other}=True has both, and fails"
        + ("" if is_asked else ", and no command here asks for it"),
        evidence=(_RAISES,),
        remedy=f"Default to None, and settle it in __post_init__: {name} = not {other}.",
        url=TRAINER_URL,
        role="config",
    )


def exclusive_flags(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield commands and files for transformers' trainer that ask for both precisions."""
    seen: set[tuple[str, int]] = set()
    for run in facts.runs.of(unit):
        for settings in run.of(*_EXCLUSIVE_FOR):
            if settings.is_call:
                continue
            fp16, bf16 = settings.asking_for("fp16"), settings.asking_for("bf16")
            if fp16 is not None and bf16 is not None and (bf16.path, bf16.line) not in seen:
                seen.add((bf16.path, bf16.line))
                yield _both_asked(run, fp16, bf16)


def _both_asked(run: Run, fp16: Setting[Precision], bf16: Setting[Precision]) -> CodeFinding:
    is_flag = bf16.text.startswith("--")
    subject = run.launch.program if run.launch is not None and is_flag else "this configuration"
    verb = "is started with --fp16 and --bf16" if is_flag else "asks for fp16 and bf16"
    return build.at_line(
        bf16.path,
        bf16.line,
        "VC106",
        Severity.ERROR,
        f"{subject} {verb}",
        evidence=(f"fp16 at {fp16.path}:{fp16.line}", _RAISES),
        remedy="Keep one: bf16 on an Ampere or newer GPU.",
        url=TRAINER_URL,
        role="launch" if is_flag else "config",
    )
