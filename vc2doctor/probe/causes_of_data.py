"""The named causes that lie in the data or in the weights before any training: asked before all others."""

from vc2doctor.probe.case import Case
from vc2doctor.probe.named_cause import cause


@cause("Find the code that builds the batch, and drop or correct the samples that hold NaN or infinity.")
def data_not_finite(case: Case) -> str | None:
    """Find an input that is not finite before any training."""
    inspection = case.probe.inspection
    if inspection is None or not inspection.bad_input or case.run.failure:
        return None
    return f"the input {inspection.bad_input} holds NaN or infinity before any training"


@cause(
    "Load the checkpoint again. If the weight is still not finite, an earlier training damaged it: use an earlier"
    " checkpoint."
)
def weight_not_finite(case: Case) -> str | None:
    """Find a weight that is not finite before any training."""
    inspection = case.probe.inspection
    if inspection is None or not inspection.bad_weight or case.run.failure:
        return None
    return f"the weight or buffer {inspection.bad_weight} holds NaN or infinity before any training"


@cause("Drop samples without an answer before they are batched, or truncate the prompt instead of the answer.")
def all_labels_ignored(case: Case) -> str | None:
    """Find a batch whose labels are all ignored: by the labels, or by a cross entropy that counts none."""
    inspection, broken = case.probe.inspection, case.broken
    if case.run.failure:
        return None
    if inspection is not None and inspection.targets and min(inspection.targets) == 0:
        return "all labels of a batch are -100, so the loss is a mean over nothing, which is NaN in every precision"
    if broken is not None and broken.op.startswith("nll_loss") and broken.exact is None:
        return f"{broken.place} counts no label of the batch, so the loss is a mean over nothing, which is NaN"
    return None


@cause("Skip a batch from which nothing is selected, or divide the sum by the count, but at least by 1.")
def mean_over_nothing(case: Case) -> str | None:
    """Find a reduction, such as a mean, over a tensor without elements."""
    broken = case.broken
    if broken is None or not broken.empty or broken.exact is not None:
        return None
    return f"{broken.place} gets a tensor without elements, and its result is NaN"
