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
from vc2doctor.linter.analyse.stage import infers_by_path
from vc2doctor.linter.analyse.values import FLOAT
from vc2doctor.linter.model import CodeFinding


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find autocasts to float32 that are on."""
    for autocast in facts.autocast.autocasts.values():
        module = autocast.call.place.module
        on = autocast.enabled == {True} and autocast.on_cuda
        if autocast.dtypes == {FLOAT} and on and not infers_by_path(module.name):
            yield build.at(
                module,
                autocast.call.node,
                "VC113",
                Severity.WARNING,
                f"{build.code(autocast.call.node)} is enabled, not a way to turn autocast off",
                remedy="Write enabled=False, and take the inputs to float32.",
                unsafe=(change.keyword(module, autocast.call.node, "enabled", "False"),),
            )
