"""The dtype of models that OpenAI's ``clip.load`` returns: float16 on a GPU, whatever the run asks for.

https://github.com/openai/CLIP/blob/main/clip/model.py (``convert_weights`` in ``build_model``), and
``clip/clip.py`` beside it, which takes the model back to float32 on a CPU only.
"""

import ast

from vc2doctor.linter.analyse.dtypes import FLOAT16, Value
from vc2doctor.linter.analyse.origins import ObjectFacts
from vc2doctor.linter.read.module import Call, Place, last_name


def dtype_of_clip(objects: ObjectFacts, expression: ast.expr, place: Place) -> frozenset[Value]:
    """Return float16 for ``model.dtype`` of a model from ``clip.load``, and nothing for any other expression."""
    if not isinstance(expression, ast.Attribute) or expression.attr != "dtype":
        return frozenset()
    made = list(objects.of(expression.value, place).calls())
    loads = [call for call in made if _loads_half(call)]
    return frozenset([FLOAT16]) if loads and len(loads) == len(made) else frozenset()


def _loads_half(call: Call) -> bool:
    module = call.place.module
    if not f".{module.dotted(call.node.func)}".endswith(".clip.load"):
        return False
    device = call.argument("device", 1)
    is_on_cpu = isinstance(device, ast.Constant) and device.value == "cpu"
    upcasts = (other for other in module.calls if other.name == "float" and not other.node.args)
    return not is_on_cpu and not any("clip" in last_name(other.receiver) for other in upcasts)
