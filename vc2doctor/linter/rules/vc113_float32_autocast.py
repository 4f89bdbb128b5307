"""An autocast region with dtype float32 on CUDA.

**What it does.** Reports `torch.autocast("cuda", dtype=torch.float32)` where it is enabled.

**Why is this bad.** Such a region is on, and casts what its lists name. With torch.compile it gave inf and NaN logits
(unsloth, commit 1db73984). Authors who write it mean `enabled=False`.

**Example**

    with torch.autocast("cuda", dtype=torch.float32):
        logits = head(x)

**Use instead**

    with torch.autocast("cuda", enabled=False):
        logits = head(x.float())

**How to fix.** Write `enabled=False`, and take the inputs to float32. `vc2doctor lint --unsafe-fixes` writes
`enabled=False`. To keep a line, add `# vc2doctor: ignore[VC113]`.

**Quiet.** No finding where the dtype can also be something else, where half-precision weights are taken to float32 so,
and on the CPU.

**References**

* https://docs.pytorch.org/docs/stable/amp.html#autocasting
"""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.dtypes import FLOAT32
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import is_inference_path
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
                f"{build.code(autocast.call.node)} is an enabled region; it does not turn autocast off",
                remedy="Write enabled=False, and take the inputs to float32.",
                unsafe_edits=(change.set_keyword(module, autocast.call.node, "enabled", "False"),),
            )
