"""Hand-written arithmetic that half precision breaks: a norm, an epsilon, an exponential, a variance.

**What it does.** Reports operations on values that are known to be half, in a region, outside of it, or in a model that
is half as a whole: `x.pow(2)` in a norm, `x + 1e-8` in a divisor or logarithm, `log(sigmoid(x))`, matrix products of
exponentials, `mean(x * x) - mean(x) * mean(x)`, exponentials of float16 similarities outside of a region, probabilities
for a binary cross entropy, sums over a whole tensor, ids or positions that are cast to half (also by an option of the
command line), `masked_fill(scores, -1e9)` and `scores[mask] = -1e9` of float16 scores, limits such as `p.clamp(1e-7, 1
- 1e-7)` before a logarithm, and squared distances that are expanded into a matrix product. It also reports a binary
cross entropy of probabilities inside of a region, whatever its dtype. The dtype of a value is followed from the region
or the model with half weights into the functions that get it, in other files, too.

Where the dtype is not proved, a note says what may go wrong. A program that can train in half precision (by a region, a
run, an engine, FSDP, half weights or a framework's switch) is read with assumptions: a parameter called `logits`,
`pred`, `queries` or `hidden_states` is half, and one called `target`, `boxes` or `t` is float32. Notes are about the
operations above, and about losses outside of any region, Fourier transforms, products of poses and points or of bins,
mel spectrograms, similarities that a temperature enlarges, `std` and `var`, sums by `scatter`, angles of position
embeddings in a half model, norms by hand, and dice losses. They are also about ratios `exp(a - b)` of log-probabilities,
`1 - pt` of focal losses, numbers of tokens in half precision, casts of logits to float32 that an option or a test for
float16 guards, gradient penalties (`autograd.grad` with `create_graph=True`) in a float16 region, moving averages of
half weights, noise schedules that are cast to the dtype of latents before `1 - alpha`, and functions that get half
values where autocast is off. A function, or a file with many such places, has one note of
a kind. Notes without an assumption are: `reduce_dtype` and `buffer_dtype` of FSDP in half precision, T5 in float16, and
the autoencoder of SDXL or SVD in float16.

**Why is this bad.** `x.pow(2)` overflows float16 above |x| = 255, and `1e-8` is zero in float16. Autocast computes
`exp`, `pow`, `sum` and `log` in float32, but matrix products take their operands back to half, and `sigmoid`, `mean`
and `sqrt` follow their input. A half sigmoid is exactly 1 above 8.3, so its logarithm has no gradient. The difference
of two close half values is mostly rounding. `masked_fill` raises for a constant beyond the range of float16 (measured),
and autocast refuses `binary_cross_entropy` on CUDA. `1 - 1e-7` is 1 in float16. `nn.LayerNorm` and `nn.RMSNorm`
accumulate in float32, also in half kernels, so `eps=1e-12` of `nn.LayerNorm` is no fault.

**Example**

    with torch.autocast("cuda", enabled=False):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)      # x is float16

**Use instead**

    x = x.float()
    return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)).type_as(weight)

**How to fix.** Take the input to float32 first, and the result back at the end. To keep a line, add `# vc2doctor:
ignore[VC110]`.

**Quiet.** No finding where the input is taken to float32 first, for torch's own norms, in code that no program which
trains uses, and in evaluation. A note, and no warning, where the code does not tell the dtype of a value, and in a
model that the run chooses by name (`if "mpt" in args.model:`). No note beside a finding that is proved.

**References**

* https://docs.pytorch.org/docs/stable/amp.html#cuda-ops-that-can-autocast-to-float32
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, is_inference_path
from vc2doctor.linter.analyse.trained_classes import is_chosen_by_name, is_trained
from vc2doctor.linter.detectors.half_arithmetic import half_arithmetic
from vc2doctor.linter.detectors.half_indices import half_indices
from vc2doctor.linter.detectors.half_losses import half_losses
from vc2doctor.linter.detectors.half_programs import BY_NAME
from vc2doctor.linter.detectors.overflowing_models import overflowing_encoders, overflowing_models
from vc2doctor.linter.detectors.possible_arithmetic import beside, possible_arithmetic
from vc2doctor.linter.detectors.sharded_dtypes import sharded_dtypes
from vc2doctor.linter.detectors.unlifted_inputs import unlifted_losses
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Function, last_name

_FLOAT32_NAMES = {"float", "float32", "double", "float64"}


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield arithmetic that half precision breaks, and notes about arithmetic that it may break."""
    proved = list(_proved(facts))
    yield from proved
    yield from sharded_dtypes(facts)
    yield from overflowing_models(facts)
    yield from overflowing_encoders(facts)
    unlifted = tuple(unlifted_losses(facts))
    yield from unlifted
    yield from beside(possible_arithmetic(facts), (*proved, *half_losses(facts), *unlifted))


def _proved(facts: Facts) -> Iterator[CodeFinding]:
    """Yield norms that square half-precision values, and other arithmetic on values that are known to be half."""
    yield from half_arithmetic(facts)
    yield from half_indices(facts)
    for module in facts.code.files.modules.values():
        may_have_norm = "rsqrt" in module.source.text or "pow(2)" in module.source.text
        if not may_have_norm or is_inference_path(module.name):
            continue
        for function in module.functions:
            square = _square_of_norm(function)
            is_candidate = square is not None and not _casts_to_float32(function) and _is_in_half(facts, function)
            if square is not None and is_candidate and is_trained(facts, function):
                is_named = is_chosen_by_name(facts, function)
                yield build.at_node(
                    module,
                    square,
                    "VC110",
                    Severity.NOTE if is_named else Severity.WARNING,
                    f"{build.code(square)} is evaluated in half precision, and overflows float16 above |x| = 255"
                    + (BY_NAME if is_named else ""),
                    evidence=(
                        f"{function.name or module.name} turns autocast off or casts its input down, and does not cast it to float32",
                    ),
                    remedy="Cast the input to float32 first, and the result back at the end.",
                )


def _square_of_norm(function: Function) -> ast.expr | None:
    """Return the first ``x.pow(2)`` in a function that is a norm by its name or that of its class, or ``None``."""
    names = function.name + (function.cls.name if function.cls else "")
    if not function.name or "norm" not in names.lower():
        return None
    calls = (node for node in ast.walk(function.node) if isinstance(node, ast.Call) and last_name(node.func) == "pow")
    return next((call for call in calls if call.args and ast.unparse(call.args[-1]) == "2"), None)


def _casts_to_float32(function: Function) -> bool:
    return any(
        (isinstance(node, ast.Attribute) and node.attr in _FLOAT32_NAMES)
        or (isinstance(node, ast.Constant) and node.value in _FLOAT32_NAMES)
        for node in ast.walk(function.node)
    )


def _is_in_half(facts: Facts, function: Function) -> bool:
    """Return whether a norm, or a caller of it, turns autocast off, or the norm casts its input down."""
    for scope in (function, *(call.place.function for call in facts.code.callers(function))):
        turns_autocast_off = any(
            region.autocast.is_disabled and region.place.function is scope and region.stage is not Stage.INFERS
            for region in facts.autocast.regions
        )
        if turns_autocast_off and not _casts_to_float32(scope):
            return True
    return any(cast.call.place.function is function for cast in facts.weights.casts)
