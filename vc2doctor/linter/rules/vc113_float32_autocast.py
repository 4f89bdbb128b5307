"""An autocast with dtype float32 on CUDA.

**Why.** It is not a no-op: `torch.autocast("cuda", dtype=torch.float32)` is *enabled*, and casts what its lists name.
With torch.compile it gave inf and NaN logits (unsloth, commit 1db73984). What is meant is `enabled=False`.

**Bad**

    with torch.autocast("cuda", dtype=torch.float32):
        logits = head(x)

**Good**

    with torch.autocast("cuda", enabled=False):
        logits = head(x.float())

**Quiet** where the dtype can also be something else, and on the CPU.

**Silence** a line with `# vc2doctor: ignore[VC113]`.

**Since** torch 1.10.
"""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.values import FLOAT32
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield autocasts to float32 that are enabled."""
    for autocast in facts.autocast.autocasts.values():
        module = autocast.call.place.module
        is_enabled_on_cuda = autocast.enabled == {True} and autocast.can_be_on_cuda
        if autocast.dtypes == {FLOAT32} and is_enabled_on_cuda and not is_inference_path(module.name):
            yield build.at_node(
                module,
                autocast.call.node,
                "VC113",
                Severity.NOTE,
                f"{build.code(autocast.call.node)} is enabled, not a way to turn autocast off",
                remedy="Write enabled=False, and take the inputs to float32.",
                unsafe_edits=(change.set_keyword(module, autocast.call.node, "enabled", "False"),),
            )
