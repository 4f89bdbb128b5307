"""In reinforcement learning, trainer and rollout disagree on the same tokens, and another dtype is the better choice.

``vc2doctor probe --rl`` scores the same sampled tokens with the same weights: as a trainer does, with eight rows in a
batch, and as a rollout does, row by row; each in bfloat16, float16 and float32. The ratio of the two probabilities
should be 1. The probe counts the tokens whose ratio is outside of [0.9, 1.1].

Why it matters: PPO, GRPO and their relatives weigh, clip or mask tokens by this ratio. In bfloat16 a part of the tokens
is off before the first update, only because it has 8 significant bits. float16 has 11 bits and costs the same.

What to do: use float16 in trainer and rollout, with a GradScaler, if the model's values fit into its range; otherwise
float32 in the trainer. Use the same dtype in both. Give both the same number of rows in a batch where that is possible.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.findings import Finding, Severity
from vc2doctor.probe.log_ratio import MIN_BITS, LogRatios

_URL = "https://arxiv.org/abs/2510.26788"
_REPORTS = "known: https://github.com/verl-project/verl/issues/6280, https://github.com/huggingface/trl/issues/6789"

_REMEDIES = {
    "float16": (
        "Load trainer and rollout engine in float16 (fp16=True with its GradScaler; dtype='float16' in the engine),"
        " both in the same dtype."
    ),
    "float32": "Compute in float32 in the trainer and in the rollout engine (dtype='float32'), if memory allows it.",
}
_RECIPES = {"float16": "fp16-scaled", "float32": "fp32"}


def check(examination: Examination) -> Iterator[Finding]:
    """Find a model whose ratios are clearly better in float16 or float32 than in bfloat16."""
    measured = examination.probe.log_ratios if examination.probe else None
    if measured is None or examination.plan.checkpoint is None:
        # The weights of the miniature are random: its probabilities say nothing about a real model.
        return
    holds = _float16_holds(examination)
    better = measured.better_than_bfloat16(allow_float16=holds)
    if better is None:
        return
    share, better_share = measured.noise("bfloat16") or 0.0, measured.noise(better) or 0.0
    yield Finding(
        id="VC027",
        severity=Severity.WARNING if advice.computes_in_bfloat16(examination) else Severity.NOTE,
        message=(
            f"for reinforcement learning, {better} is the better choice: rounding in bfloat16 moves the ratio of"
            f" {share:.1%} of the tokens out of [0.9, 1.1] before any update, in {better} {better_share:.1%}"
        ),
        evidence=tuple(_evidence(measured, holds=holds)),
        remedy=_REMEDIES[better],
        commands=(examination.plan.invocation.again(("--precision", _RECIPES[better])),),
        url=_URL,
    )


def _float16_holds(examination: Examination) -> bool:
    headroom = examination.probe.headroom if examination.probe else None
    return headroom is None or headroom.tightest.bits >= MIN_BITS


def _evidence(measured: LogRatios, *, holds: bool) -> Iterator[str]:
    tokens = max(pair.tokens for pair in measured.pairs)
    yield f"{tokens} sampled tokens, with the same weights: the trainer scores 8 rows at a time, and the rollout one"
    for trainer, rollout in (("bfloat16", "bfloat16"), ("float32", "bfloat16"), ("float16", "float16")):
        pair = measured.pair(trainer, rollout)
        if pair is not None and pair.mean_size is not None:
            yield (
                f"trainer {trainer}, rollout {rollout}: {pair.outside:.1%} outside, mean absolute log-ratio"
                f" {pair.mean_size:.2g}, largest {pair.largest or 0:.2g}"
            )
    if not holds:
        yield f"float16 is left out: its headroom is less than {MIN_BITS:g} bit on these texts"
    yield _REPORTS
