"""The keys that code reads from its configuration, and which assignment of a name still holds."""

import ast

from vc2doctor.linter.read.module import Assigned, Call, Function, Place

CONFIG_NAMES = {
    *("config", "cfg", "conf", "configs", "args", "opt", "opts", "hparams", "hps", "params", "run_cfg", "train_config"),
    *(
        "model_config",
        "_config",
        "cfgs",
        "train_cfg",
        "model_cfg",
        "cfg_model",
        "config_dict",
        "training_args",
        "model_args",
    ),
    *("train_args", "script_args", "data_args", "finetuning_args", "training_arguments", "arguments", "flags", "FLAGS"),
}
"""Names that code gives to its configuration."""

_ARGUMENT_ENDINGS = ("_args", "_arguments")
"""Endings of names that code gives to its parsed arguments."""


def still_alive(assigned: list[Assigned], scope: Function, place: Place) -> list[Assigned]:
    """Return the assignments that can still hold at a place: without those that a later one has replaced for certain.

    A later one has if it stands before the place, and is reached whenever the place is.
    """
    if place.function is not scope or place.statement is None:
        return assigned
    line = place.statement.lineno
    certain = [
        other.statement.lineno
        for _, other in assigned
        if other.statement is not None
        and other.statement.lineno < line
        and other.conditions == place.conditions[: len(other.conditions)]
        and other.loop_depth <= place.loop_depth
    ]
    last = max(certain, default=0)
    return [each for each in assigned if each[1].statement is None or each[1].statement.lineno >= last]


def only_table(assigned: list[Assigned]) -> ast.Dict | None:
    """Return the dictionary that a name has, if it is assigned once."""
    tables = [value for value, _ in assigned if isinstance(value, ast.Dict)]
    return tables[0] if len(tables) == len(assigned) == 1 else None


def table_at(expression: ast.expr, place: Place) -> ast.Dict | None:
    """Return the dictionary that is written, or that a name stands for: ``{"bf16": torch.bfloat16}[key]``."""
    if isinstance(expression, ast.Dict):
        return expression
    if not isinstance(expression, ast.Name) or expression.id in CONFIG_NAMES:
        return None
    scope = next((scope for scope in place.function.scopes() if expression.id in scope.names), None)
    return only_table(scope.names[expression.id]) if scope is not None else None


def joined(*parts: str) -> str:
    """Return a dotted key of parts that are not empty."""
    return ".".join(part for part in parts if part)


def config_key(expression: ast.expr, *, whole: bool = False) -> str | None:
    """Return the dotted key that an expression reads from a configuration: ``optimizer.lr`` of ``config.optimizer.lr``.

    ``None``: it does not read a configuration. With ``whole`` the expression may be the configuration itself; its key
    is ``""``.
    """
    parts: list[str] = []
    while True:
        if isinstance(expression, ast.Attribute):
            parts.append(expression.attr)
            expression = expression.value
        elif isinstance(expression, ast.Subscript) and isinstance(expression.slice, ast.Constant):
            parts.append(str(expression.slice.value))
            expression = expression.value
        else:
            break
    if not isinstance(expression, ast.Name):
        return None
    if expression.id == "self":
        if not parts or parts[-1] not in CONFIG_NAMES:
            return None
        parts.pop()
    elif expression.id not in CONFIG_NAMES and not expression.id.endswith(_ARGUMENT_ENDINGS):
        return None
    while len(parts) > 1 and parts[-1] in CONFIG_NAMES:
        # `self.config.config.run` is the key `run` of a configuration that is kept in an object.
        parts.pop()
    return ".".join(reversed(parts)) if parts or whole else None


def maker_of(name: str, place: Place) -> Call | None:
    """Return the call that made the object of a name, if the name is assigned once in its scope, and by a call."""
    scope = next((scope for scope in place.function.scopes() if name in scope.names), None)
    assigned = scope.names[name] if scope is not None else []
    value = assigned[0][0] if len(assigned) == 1 else None
    return Call(value, assigned[0][1]) if isinstance(value, ast.Call) else None
