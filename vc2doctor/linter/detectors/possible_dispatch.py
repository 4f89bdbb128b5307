"""Which patterns of half precision a node of code can match, by its operation: most nodes match none."""

import ast
from collections.abc import Mapping

from vc2doctor.linter.detectors import half_arithmetic as known
from vc2doctor.linter.detectors import half_limits as limits
from vc2doctor.linter.detectors import possible_losses as losses
from vc2doctor.linter.detectors import possible_patterns as possible
from vc2doctor.linter.detectors import possible_steps as steps
from vc2doctor.linter.detectors.half_pattern import Pattern
from vc2doctor.linter.detectors.refused_values import refused_by_numpy, refused_operation
from vc2doctor.linter.knowledge.autocast_ops import FLOAT32_ONLY, MATRIX_PRODUCTS
from vc2doctor.linter.read.module import last_name

_LOGARITHMS = ("log", "log2", "log10", "sqrt", "rsqrt", "reciprocal")
_LOSSES = ("cross_entropy", "log_softmax", "logsigmoid", *possible.DIVERGENCES, *possible.OF_ONE_DTYPE)
_NAMES: Mapping[Pattern, tuple[str, ...]] = {
    known.lost_epsilon: _LOGARITHMS,
    known.log_of_sigmoid: ("log",),
    known.squeezed_product: tuple(MATRIX_PRODUCTS),
    known.overflowing_sum: ("sum",),
    known.norm_by_hand: ("mean",),
    known.overflowing_exponential: ("exp", "expm1"),
    known.half_probability: ("sigmoid",),
    limits.refused_fill: ("masked_fill", "masked_fill_"),
    limits.rounded_limit: ("clamp", "clip", "clamp_max"),
    refused_operation: tuple(FLOAT32_ONLY),
    refused_by_numpy: ("numpy",),
    possible.half_spectrum: possible.SPECTRA,
    possible.half_loss: _LOSSES,
    possible.camera_product: tuple(MATRIX_PRODUCTS),
    possible.scattered_sum: tuple(possible.SCATTERS),
    possible.half_angle: ("sin", "cos"),
    possible.half_dice: ("sum",),
    possible.deviation: ("std", "var"),
    possible.square_in_norm: ("pow", "square"),
    losses.conditional_cast: losses.LOSSES,
    losses.half_ratio: ("exp", "expm1"),
    losses.rounded_count: ("to",),
    steps.gradient_penalty: ("grad",),
    steps.half_average: ("lerp", "lerp_", "add_"),
    steps.rounded_schedule: ("to",),
}
"""The calls that a pattern can match, by name."""
_PARTS: Mapping[str, tuple[Pattern, ...]] = {
    "dice": (possible.half_dice,),
    "mel": (possible.mel_product,),
    "loss": (possible.half_loss, limits.refused_loss),
    "criterion": (possible.half_loss, limits.refused_loss),
    "bce": (limits.refused_loss,),
    "binary": (limits.refused_loss,),
}
"""The same by a part of the name."""
_OPERATORS: Mapping[type[ast.operator], tuple[Pattern, ...]] = {
    ast.Div: (known.lost_epsilon, possible.enlarged_similarity),
    ast.Mult: (possible.enlarged_similarity, possible.square_in_norm),
    ast.Pow: (possible.square_in_norm,),
    ast.MatMult: (known.squeezed_product, possible.camera_product, possible.enlarged_similarity),
    ast.Add: (limits.expanded_distance,),
    ast.Sub: (known.cancelling_variance, limits.expanded_distance, losses.focal_remainder),
}
_BY_NAME: dict[str, tuple[Pattern, ...]] = {}
for _pattern, _names in _NAMES.items():
    for _name in _names:
        _BY_NAME[_name] = (*_BY_NAME.get(_name, ()), _pattern)


def patterns_for(node: ast.AST) -> tuple[Pattern, ...]:
    """Return the patterns that a node can match."""
    if isinstance(node, ast.BinOp):
        return _OPERATORS.get(type(node.op), ())
    if isinstance(node, ast.Assign):
        return (limits.overflowing_store,)
    if not isinstance(node, ast.Call):
        return ()
    if isinstance(node.func, ast.Call):
        # `nn.CrossEntropyLoss()(logits, labels)`
        return (possible.half_loss,)
    name = last_name(node.func)
    lowered = name.lower()
    of_parts = (pattern for part, patterns in _PARTS.items() if part in lowered for pattern in patterns)
    return (*_BY_NAME.get(name, ()), *of_parts)
