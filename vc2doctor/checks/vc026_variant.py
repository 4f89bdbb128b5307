"""The training fails only when it is compiled, deterministic, or with other attention code.

With ``--compile``, ``--deterministic`` or several names in ``--attention``, the probe trains the precision that
decides, and the control in float32, once more in each of these ways. Each is compared with the same recipe without it.

Why it matters: precision alone does not cause a fault that appears only there, so another precision may not help. Some
models become NaN in float16 only under torch.compile, because it fuses operations and rounds at other places.

What to do: train without it, or as the evidence says. ``torch.compile`` can be left out for one module with
``torch.compiler.disable``.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.outcome import RecipeOutcome
from vc2doctor.probe.variants import VariantOutcome
from vc2doctor.target.shared.recipes import CONTROL
from vc2doctor.target.shared.variants import VARIANTS

_URLS = {
    "compiled": "https://pytorch.org/docs/stable/torch.compiler_troubleshooting.html",
    "deterministic": "https://pytorch.org/docs/stable/notes/randomness.html",
}
_URL_OF_ATTENTION = "https://huggingface.co/docs/transformers/attention_interface"
_REMEDIES = {
    "compiled": "Train without torch.compile, or exclude the failing module (torch.compiler.disable).",
    "deterministic": (
        "Replace the operation in the message, or call torch.use_deterministic_algorithms(True, warn_only=True)."
        " On a GPU set CUBLAS_WORKSPACE_CONFIG=:4096:8 as well."
    ),
}

_REMEDY_OF_UNTRIED = "Run this command where your training runs, in its environment. Or drop the option."


def check(examination: Examination) -> Iterator[Finding]:
    """Find ways to train that fail although the same recipe trains without them, or that could not be tried."""
    for variant in examination.variants:
        for outcome in variant.recipes:
            yield from _of_recipe(examination, variant, outcome)
        if variant.repeats is False:
            message = f"two trainings {variant.title} differ"
            evidence = ("losses or weights after 3 steps from the same seed are not the same bit for bit",)
            yield _finding(variant, Severity.WARNING, message, evidence)


def _of_recipe(examination: Examination, variant: VariantOutcome, outcome: RecipeOutcome) -> Iterator[Finding]:
    decides = outcome.recipe == examination.plan.precision
    if decides and not outcome.is_measured:
        message = f"{outcome.recipe} could not be tried {variant.title}, so it was not measured"
        finding = _finding(variant, Severity.WARNING, message, (outcome.description,))
        yield finding.model_copy(update={"remedy": _REMEDY_OF_UNTRIED})
    if variant.comparisons[outcome.recipe] != "only-here":
        return
    # The control is not what the user trains in: it only shows that precision is not the cause.
    severity = Severity.NOTE
    if decides:
        severity = Severity.WARNING if outcome.outcome == "weak" else Severity.ERROR
    message = f"{outcome.recipe} fails only {variant.title} ({outcome.outcome}): without it, the same steps are finite"
    yield _finding(variant, severity, message, tuple(_evidence(variant, outcome)))


def _evidence(variant: VariantOutcome, outcome: RecipeOutcome) -> Iterator[str]:
    yield outcome.description
    if outcome.cause is not None:
        yield f"cause: {outcome.cause.description}"
    control = next((each for each in variant.recipes if each.recipe == CONTROL), None)
    if control is None or outcome.recipe == CONTROL or not control.is_measured:
        return
    if control.outcome == "finite":
        yield f"float32 trains {variant.title}: the fault needs both {outcome.recipe} and this way to train"
    else:
        yield f"float32 fails {variant.title} as well, so precision is not the cause"


def _finding(variant: VariantOutcome, severity: Severity, message: str, evidence: tuple[str, ...]) -> Finding:
    attention = VARIANTS[variant.variant].attention
    remedy = _REMEDIES.get(variant.variant) or f"Use attention code other than {attention} (attn_implementation=)."
    return Finding(
        id="VC026",
        severity=severity,
        message=message,
        evidence=evidence,
        remedy=remedy,
        url=_URLS.get(variant.variant, _URL_OF_ATTENTION),
    )
