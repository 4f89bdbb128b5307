"""Values that only some releases take or return: the name of an optimizer, keywords that a pipeline hands on."""

import ast
from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from vc2doctor.linter.analyse.api_names import external_name
from vc2doctor.linter.analyse.api_use import ModuleContext, Use
from vc2doctor.linter.knowledge.api_table import ApiTable, Existence
from vc2doctor.linter.knowledge.loader_keywords import existence_of, instead_of
from vc2doctor.linter.read.module import Call

OPTIMIZER_FIELD = "optim"
"""The field of ``TrainingArguments`` that names an optimizer."""
_OPTIMIZERS = "transformers.training_args.OptimizerNames"
"""The enumeration of these names. Its members are the names in capitals."""
OPTIMIZER_HINT = "adamw_torch"
_SETS_STATE = "set_peft_model_state_dict"
_RETURNS_MODEL = SpecifierSet("<0.3")
"""Releases of peft in which it returns the model; 0.3.0 returns nothing, and 0.4.0 and later the keys that were loaded
(read in the wheels of 0.2.0, 0.3.0, 0.4.0, 0.5.0, 0.10.0 and 0.21.2)."""


def value_uses(context: ModuleContext) -> Iterator[Use]:
    """Yield the names of optimizers, the keywords for a pipeline's model, and the results that some release lacks."""
    for place in context.module.statements:
        statement = place.statement
        if isinstance(statement, ast.AnnAssign) and _is_field(statement) and statement.value is not None:
            yield from _optimizer(context, _default_of(statement.value))
    for call in context.module.calls:
        if context.is_guarded(call.place.statement):
            continue
        if call.name == "add_argument" and _declares_optimizer(call):
            yield from _optimizer(context, call.argument("default"))
        elif call.name.endswith(("Arguments", "Config")):
            yield from _optimizer(context, call.argument(OPTIMIZER_FIELD))
        elif call.name == _SETS_STATE:
            yield from _result(context, call)
        elif call.name == "pipeline":
            yield from _of_pipeline(context, call)


def _result(context: ModuleContext, call: Call) -> Iterator[Use]:
    """Yield ``model = set_peft_model_state_dict(model, weights)``: only the oldest releases return the model."""
    package = context.table.packages.get("peft")
    name = external_name(context.code, context.module, context.module.dotted(call.node.func)) or ""
    match call.place.statement:
        case ast.Assign(targets=[ast.Name(id=target)], value=value) if value is call.node:
            given = call.argument("model", 0)
            replaces_model = isinstance(given, ast.Name) and given.id == target
        case _:
            replaces_model = False
    if package is None or not replaces_model or name.partition(".")[0] != "peft":
        return
    bits = sum(1 << place for place, version in enumerate(package.versions) if version in _RETURNS_MODEL)
    problems = ((package.everything & ~bits, "returns no model"),)
    for use in context.use("result", _SETS_STATE, Existence("peft", bits), call.node):
        yield use._replace(problems=problems)


def optimizer_existence(table: ApiTable, name: str | None) -> Existence | None:
    """Return the releases that know an optimizer by its name; ``None``: no release is known to lack it."""
    return table.member(_OPTIMIZERS, name.upper()) if name and name.isidentifier() else None


def _is_field(statement: ast.AnnAssign) -> bool:
    return isinstance(statement.target, ast.Name) and statement.target.id == OPTIMIZER_FIELD


def _default_of(value: ast.expr) -> ast.expr | None:
    """Return the default of a field of a data class: ``field(default="adamw_hf")`` or the value itself."""
    if not isinstance(value, ast.Call):
        return value
    return next((keyword.value for keyword in value.keywords if keyword.arg == "default"), None)


def _declares_optimizer(call: Call) -> bool:
    first = call.node.args[0] if call.node.args else None
    return isinstance(first, ast.Constant) and first.value == f"--{OPTIMIZER_FIELD}"


def _optimizer(context: ModuleContext, value: ast.expr | None) -> Iterator[Use]:
    name = _text_of(value)
    existence = optimizer_existence(context.table, name)
    if value is not None and existence is not None:
        label, hint = f'{OPTIMIZER_FIELD}="{name}"', f'{OPTIMIZER_FIELD}="{OPTIMIZER_HINT}"'
        yield from context.use("argument", label, existence, value, hint)


def _of_pipeline(context: ModuleContext, call: Call) -> Iterator[Use]:
    """Yield the keywords that ``pipeline(model_kwargs={…})`` hands on to ``from_pretrained``."""
    dotted = context.module.dotted(call.node.func)
    given = call.argument("model_kwargs")
    if (
        not isinstance(given, ast.Dict)
        or external_name(context.code, context.module, dotted) != "transformers.pipeline"
    ):
        return
    for key, value in zip(given.keys, given.values, strict=True):
        name = _text_of(key)
        existence = existence_of(context.table, name)
        if key is not None and existence is not None:
            label = f'pipeline(model_kwargs={{"{name}": …}})'
            yield from context.use("argument", label, existence, key, instead_of(name, value))


def _text_of(expression: ast.expr | None) -> str:
    """Return a text that is written out, or ``""``."""
    match expression:
        case ast.Constant(value=str(text)):
            return text
    return ""
