"""Trainer and rollout of reinforcement learning, compared: a row for each dtype of the trainer."""

from collections.abc import Iterator

from vc2doctor.probe.log_ratio import LogRatios
from vc2doctor.report.terminal.lines import Line, Marks, probe_row


def rows(measured: LogRatios, marks: Marks, *, is_own: bool) -> Iterator[Line]:
    """Yield a row on what was compared, one for each dtype of the trainer, and one for each that was not measured.

    ``is_own`` says that the weights are the user's, and not the random ones of the miniature.
    """
    if measured.pairs:
        weights = "" if is_own else "; random weights: pass --model for your own"
        tokens = max(pair.tokens for pair in measured.pairs)
        what = f"share of {tokens} tokens whose ratio of trainer and rollout is outside of [0.9, 1.1]"
        yield probe_row(marks("note"), "RL log-ratios", "", f"{what}{weights}")
    for trainer in dict.fromkeys(pair.trainer for pair in measured.pairs):
        pairs = [pair for pair in measured.pairs if pair.trainer == trainer]
        shares = ", ".join(f"{pair.outside:.1%} with a rollout in {pair.rollout}" for pair in pairs)
        yield probe_row(marks("note"), f"  trainer {trainer}", "", shares)
    for dtype, failure in measured.failures.items():
        yield probe_row(marks("none"), f"  log-ratio {dtype}", "not measured", failure.description)
