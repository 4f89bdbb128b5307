"""Options of a program that a switch leaves without a reader: the code has the precision itself now."""

import ast
from collections.abc import Iterator

from vc2doctor.linter.detectors.unread_options import PASSES_ALL
from vc2doctor.linter.fix.programs import Program
from vc2doctor.linter.fix.remaining import context_of
from vc2doctor.linter.fix.tokens.token import call_name
from vc2doctor.linter.fix.view import ProjectView


def dead_options(before: ProjectView, after: ProjectView, program: Program) -> Iterator[str]:
    """Yield a sentence for each option that code of ``program`` read before the change, and that none reads after it.

    Code that passes all options on without naming them reads every one of them.
    """
    if any(PASSES_ALL.search(after.text(name)) for name in program.code):
        return
    lost = context_of(before, program).reads - context_of(after, program).reads
    for name in sorted(program.code):
        code = after.code(name)
        for node in code.nodes if code is not None else ():
            option = _option(node)
            if option.lstrip("-").replace("-", "_") in lost and isinstance(node, ast.Call):
                precision = "bfloat16" if after.target == "bf16" else "float16"
                reason = f"the code sets {precision} itself"
                yield f"{name}:{node.lineno}: {option} has no effect any more, because {reason}."


def _option(node: ast.AST) -> str:
    """Return the option that a call declares: ``--bf16``; empty: it declares none, or under another name."""
    if not isinstance(node, ast.Call) or call_name(node) not in ("add_argument", "add_option"):
        return ""
    if any(keyword.arg == "dest" for keyword in node.keywords):
        return ""
    texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return next((text for text in texts if isinstance(text, str) and text.startswith("--")), "")
