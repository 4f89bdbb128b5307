"""Judges one program after the edits: which mentions of float16 remain, which of them may, and which refuse the change.

The judge asks no rule. It looks at every node of the code, every key and every command that reaches the program. It
refuses the change for what it does not understand.
"""

import ast
import posixpath
from collections.abc import Iterator

from vc2doctor.core import reading
from vc2doctor.linter.analyse.stage import words
from vc2doctor.linter.fix.programs import Program
from vc2doctor.linter.fix.tokens import dtypes, libraries, regions, scripts, settings, switches, tensors, to_float16
from vc2doctor.linter.fix.tokens.token import CodeFile, Context, Token, call_name
from vc2doctor.linter.fix.view import ProjectView
from vc2doctor.linter.read.discover import mentions_precision
from vc2doctor.linter.read.ignore_comments import ignored_lines
from vc2doctor.linter.read.module import last_name

_FINDERS = (dtypes.find, regions.find, switches.find, libraries.find, tensors.find)
_PARSERS = ("add_argument", "add_option", "option")
_INFERENCE = "inference code; training does not run it"
_UNSCALED = "no flag of a trainer or of accelerate sets loss scaling up here. Float16 without it loses small gradients."
_TOLD = "a comment on this line tells the linter to leave it"


def tokens_of(view: ProjectView, program: Program) -> list[Token]:
    """Return every mention of float16 in the files of a program, and everything that stands in the way of bfloat16."""
    known = view.memory.get(program)
    if known is None:
        known = view.memory[program] = _tokens_of(view, program)
    return known


def _tokens_of(view: ProjectView, program: Program) -> list[Token]:
    context = context_of(view, program)
    if view.target == "fp16":
        return _bfloat16_tokens_of(view, program, context)
    # Programs that share their code share its tokens as well, because they have the same context.
    known = view.code_memory.get(program.code)
    if known is None:
        known = [token for name in sorted(program.code) for token in _in_code(view, name, context)]
        view.code_memory[program.code] = known
    tokens = [*known]
    for name in sorted(program.settings):
        tokens += _without_ignored(settings.find(name, view.text(name), context), view.text(name))
    for command in _current_commands(view, program):
        tokens += _without_ignored(scripts.find(command, context), view.text(command.script))
    return [*tokens, *_unread(view, program), *_kernels(view, program)]


def _bfloat16_tokens_of(view: ProjectView, program: Program, context: Context) -> list[Token]:
    """Return what a GPU without bfloat16 cannot run, for the switch to float16 with loss scaling."""
    tokens = [
        token
        for name in sorted(program.code)
        if (code := view.code(name)) is not None
        for node in code.nodes
        if (token := to_float16.find(code, node, context)) is not None
    ]
    if not _scales_the_loss(view, program, context):
        tokens = [token._replace(edits=(), refuses=_UNSCALED) if token.edits else token for token in tokens]
    for name in sorted(program.settings):
        tokens += to_float16.find_in_settings(name, view.text(name), context)
    for command in _current_commands(view, program):
        tokens += to_float16.find_in_command(command, context)
    return [*tokens, *_unread(view, program)]


def _scales_the_loss(view: ProjectView, program: Program, context: Context) -> bool:
    """Return whether some flag of a program sets loss scaling up, or does so after the switch."""
    codes = [code for code in map(view.code, program.code) if code is not None]
    texts = [command.text for command in _current_commands(view, program)]
    texts += [view.text(name) for name in program.settings]
    return any(to_float16.scales_the_loss(code, context) for code in codes) or any(
        map(to_float16.names_half_precision, texts)
    )


def _current_commands(view: ProjectView, program: Program) -> Iterator[scripts.Command]:
    """Yield the commands of a program as the edits left them. Edits of scripts add no lines."""
    for script in sorted({command.script for command in program.commands}):
        lines = {command.lines[0].number for command in program.commands if command.script == script}
        for command in scripts.commands(script, view.text(script)):
            if command.lines[0].number in lines:
                yield command


def _in_code(view: ProjectView, name: str, context: Context) -> Iterator[Token]:
    code = view.code(name)
    if code is None:
        return
    ignored = ignored_lines(view.text(name))
    for node in code.nodes:
        for finder in _FINDERS:
            token = finder(code, node, context)
            if token is None:
                continue
            if ignored.keys() & {token.line, getattr(node, "end_lineno", token.line)}:
                yield token._replace(edits=(), refuses=None, stays=_TOLD)
            elif code.is_inference and token.is_float16:
                yield token._replace(edits=(), refuses=None, stays=_INFERENCE)
            else:
                yield token


def _without_ignored(tokens: Iterator[Token], text: str) -> Iterator[Token]:
    ignored = ignored_lines(text)
    for token in tokens:
        yield token._replace(edits=(), refuses=None, stays=_TOLD) if token.line in ignored else token


def _unread(view: ProjectView, program: Program) -> Iterator[Token]:
    """Yield the files that cannot be parsed, and that the program imports or that lie beside its code."""
    folders = {posixpath.dirname(name) for name in program.code}
    for name, reason in {**_unread_by_the_rules(view), **view.unread}.items():
        if name in program.files or (name.endswith(".py") and posixpath.dirname(name) in folders):
            message = f"not read ({reason}), so it is unknown whether the change is complete"
            if mentions_precision(view.text(name).encode()):
                yield Token(name, 1, "", refuses=message, is_obstacle=True)


def _unread_by_the_rules(view: ProjectView) -> dict[str, str]:
    return {file.name: file.reason for file in view.facts.code.files.unread_files if file.name in view.files}


def _kernels(view: ProjectView, program: Program) -> Iterator[Token]:
    """Yield the CUDA kernels beside the code of a program that do not mention bfloat16."""
    for folder in sorted({posixpath.dirname(name) for name in program.code}):
        for path in sorted([*(view.root / folder).glob("*.cu"), *(view.root / folder).glob("[!.]*/*.cu")]):
            text = reading.text_or_empty(path) or "bfloat16"
            if "bfloat16" not in text.lower():
                name = path.relative_to(view.root).as_posix()
                reason = "a CUDA kernel that does not mention bfloat16. Check its dispatch, or run it in float32."
                yield Token(name, 1, "", refuses=reason, is_obstacle=True)
                break


def context_of(view: ProjectView, program: Program) -> Context:
    """Return what the finders need to know of a program."""
    files = [code for code in map(view.code, sorted(program.code)) if code is not None]
    nodes = [node for code in files for node in code.nodes]
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    flags = {
        str(argument.value)
        for call in calls
        if call_name(call) in _PARSERS
        for argument in call.args
        if isinstance(argument, ast.Constant)
    }
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    trainer_classes = _trainer_classes(classes)
    return Context(
        facts=view.facts,
        strings=frozenset(
            node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ),
        definitions=frozenset(
            node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ),
        trainer_classes=trainer_classes,
        own_flags=frozenset(flags),
        reads=frozenset(_reads(nodes)),
        mentions=frozenset(_mentions(nodes)),
        parses_trainer_arguments=any(call_name(call) in ("HfArgumentParser", "TrlParser") for call in calls),
        reads_dtype_by_name=any(
            call_name(call) == "getattr" and call.args and last_name(call.args[0]) == "torch" for call in calls
        ),
        scaler_is_used=_scaler_is_used(view, files),
    )


def _trainer_classes(classes: list[ast.ClassDef]) -> frozenset[str]:
    """Return the program's own classes that derive from transformers' TrainingArguments, directly or through others."""
    known: set[str] = set()
    for _ in classes:
        new = {
            cls.name
            for cls in classes
            if any(last_name(base).endswith("TrainingArguments") or last_name(base) in known for base in cls.bases)
        }
        if new <= known:
            break
        known |= new
    return frozenset(known)


def _reads(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()):
                yield name
            case ast.Subscript(slice=ast.Constant(value=str(name)), ctx=ast.Load()):
                yield name
            case ast.Call(args=[_, ast.Constant(value=str(name)), *_]) if call_name(node) == "getattr":
                yield name
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if call_name(node) in ("get", "pop"):
                yield name


def _mentions(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.Constant(value=str(name)):
                yield name


def _scaler_is_used(view: ProjectView, files: list[CodeFile]) -> bool:
    uses = [
        call
        for code in files
        if code.module is not None
        for call in code.module.calls
        if call.name == "scale" and "scaler" in words(ast.unparse(call.receiver))
    ]
    return not uses or any(view.facts.values.is_reached(call.place) is not False for call in uses)
