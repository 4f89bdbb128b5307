"""Options of argparse that switch the precision, and whose type or action does not do what their name says."""

import ast
import re
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, Module, root_name

_NEGATION = re.compile(r"^(no|not|disable|without|skip|turn_off)_(?:use_)?|^(no)(?=fp16|bf16|amp)")
_SWITCH = re.compile(
    r"^(?:use|enable|with|is|do|train|native|torch|cuda|apex|pure|full)?_?"
    r"(?:fp16|bf16|fp_16|bf_16|float16|bfloat16|half|amp|autocast|mixed|mixed_precision|mix_precision|half_precision|"
    r"fp16_amp|amp_fp16|bf16_amp|amp_bf16|bfloat16_amp)(?:_training|_train|_mode|_precision)?$"
)
"""Names of options that switch a half precision on, without a negation before them."""
_OFF = ("false", "0", "no", "off", "none")
"""Texts that people give to a switch to turn it off. ``bool`` of each is true."""
_SAYS_OFF = re.compile(r"\b(disabl\w+|off|not|no|without|don't)\b", re.IGNORECASE)
"""Helps that say that an option turns something off."""
_OTHER_PARSERS = ("jsonargparse", "simple_parsing", "tap", "tyro")
"""Packages whose parsers read the texts "true" and "false"."""
_URL = "https://docs.python.org/3/library/argparse.html#type"


def option_types(unit: Unit) -> Iterator[CodeFinding]:
    """Yield switches of the precision that the command line cannot turn off, or turns the wrong way."""
    for call in unit.calls.get("add_argument", []):
        name, module = _name_of(call), call.place.module
        positive = _NEGATION.sub("", name)
        is_other = any(value.partition(".")[0] in _OTHER_PARSERS for value in module.imports.values())
        if not name or not _SWITCH.match(positive) or is_other or is_inference_path(module.name):
            continue
        action = getattr(call.argument("action"), "value", None)
        default = getattr(call.argument("default"), "value", None)
        if action is None and _type_name(call) == "bool":
            yield _typed_bool(unit, call, name, is_on=default is True)
        elif action is None and _type_name(call) in ("", "str") and str(default).lower() == "false":
            yield from _text_default(unit, call, name, default)
        elif action == "store_true" and default is True:
            yield _finding(
                call,
                Severity.NOTE,
                f"--{name} is on by default and its action is store_true: no command line can switch it off",
                (),
                "Use action=argparse.BooleanOptionalAction, which adds --no-… to the option.",
            )
        elif action == "store_false" and default is not False and call.argument("dest") is None:
            yield from _turned_around(unit, call, name, is_negated=positive != name)


def _type_name(call: Call) -> str:
    given = call.argument("type")
    return given.id if isinstance(given, ast.Name) else ""


def _name_of(call: Call) -> str:
    """Return the name of an option as its flag gives it, with underscores; empty: it has no long flag."""
    texts = [getattr(argument, "value", None) for argument in call.node.args]
    flags = [text for text in texts if isinstance(text, str) and text.startswith("--")]
    return flags[0].lstrip("-").replace("-", "_").lower() if flags else ""


def _typed_bool(unit: Unit, call: Call, name: str, *, is_on: bool) -> CodeFinding:
    """Return the finding about ``type=bool``: a warning where the option is on, or a command means to turn it off."""
    given = [
        f"{launch.script}:{flag.line} {text} {flag.value}"
        for launch in unit.launches
        for text, flag in launch.flags.items()
        if text.lstrip("-").replace("-", "_").lower() == name and (flag.value or "").lower() in _OFF
    ]
    effect = "it cannot be switched off" if is_on else "a command that says False switches it on"
    return _finding(
        call,
        Severity.WARNING if is_on or given else Severity.NOTE,
        f"--{name} has type=bool, and bool of every text is true, also of False: {effect}",
        tuple(given[:1]),
        "Use action=argparse.BooleanOptionalAction, or a function that reads the text.",
    )


def _text_default(unit: Unit, call: Call, name: str, default: object) -> Iterator[CodeFinding]:
    """Yield a switch whose default is the text "False", if the code tests it as it is: every text is true."""
    is_tested = any(_is_condition(module, name) for module in _readers(unit, call))
    if isinstance(default, str) and call.argument("choices") is None and is_tested:
        yield _finding(
            call,
            Severity.WARNING,
            f'--{name} is the text "{default}" by default, and the code tests it as it is: the text counts as true',
            (),
            "Use action='store_true', or argparse.BooleanOptionalAction with default=False.",
        )


def _is_condition(module: Module, name: str) -> bool:
    """Return whether ``args.name`` alone, or under ``not``, is the condition of an ``if``."""
    if f".{name}" not in module.source.text:
        return False
    tests = [node.test for node in ast.walk(module.source.tree) if isinstance(node, ast.If | ast.IfExp)]
    plain = [test.operand if isinstance(test, ast.UnaryOp) else test for test in tests]
    assigned = re.search(rf"\.{name}\s*=(?!=)", module.source.text)
    return assigned is None and any(isinstance(test, ast.Attribute) and test.attr == name for test in plain)


def _turned_around(unit: Unit, call: Call, name: str, *, is_negated: bool) -> Iterator[CodeFinding]:
    """Yield ``store_false`` of ``--no_fp16`` that is read as ``not args.no_fp16``, and of ``--fp16`` read as it is."""
    reads = [is_under_not for module in _readers(unit, call) for is_under_not in _reads(module, name)]
    if not reads:
        return
    if is_negated and all(reads):
        yield _finding(
            call,
            Severity.WARNING,
            f"--{name} is store_false and is read as `not {name}`: it is off by default, and the option turns it on",
            (),
            f"Write action='store_true': it is then on by default, and --{name} turns it off.",
        )
    elif not is_negated and not any(reads) and not _SAYS_OFF.search(str(getattr(call.argument("help"), "value", ""))):
        yield _finding(
            call,
            Severity.NOTE,
            f"--{name} is store_false: it is on by default, and the option turns it off",
            (),
            f"Write action='store_true', or name the option --no-{name.replace('_', '-')} with dest='{name}'.",
        )


def _readers(unit: Unit, call: Call) -> list[Module]:
    """Return the modules whose reads of the option count: those of the unit in which no other parser declares it."""
    own = call.place.module
    declaring = {other.place.module for other in unit.calls["add_argument"] if _name_of(other) == _name_of(call)} - {
        own
    }
    return [module for module in unit.modules if module not in declaring]


def _reads(module: Module, name: str) -> Iterator[bool]:
    """Yield for each read of ``args.name`` whether it stands directly under ``not``."""
    if name not in module.source.text:
        return
    negated = {
        node.operand
        for node in ast.walk(module.source.tree)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    }
    for node in ast.walk(module.source.tree):
        if not isinstance(node, ast.Attribute) or node.attr != name or not isinstance(node.ctx, ast.Load):
            continue
        # `torch.autocast` reads no option.
        if root_name(node) not in module.imports:
            yield node in negated


def _finding(call: Call, severity: Severity, message: str, evidence: tuple[str, ...], remedy: str) -> CodeFinding:
    return build.at_node(
        call.place.module,
        call.node,
        "VC106",
        severity,
        message,
        evidence=evidence,
        remedy=remedy,
        url=_URL,
        role="config",
    )
