"""Emulated bfloat16 taken for support.

**Why.** `torch.cuda.is_bf16_supported()` counts emulation in torch 2.3 and newer (read in the wheels of 2.3.1 and 2.4.1;
2.2.2 says False on a V100, pytorch#124996): it says True on a V100 or T4, where bfloat16 is computed in float32 and cast,
many times slower than float16. Native bfloat16 needs compute capability 8.0 (Ampere).

**Bad**

    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

**Good**

    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16

**Quiet** where `including_emulation=False` is given, where the compute capability is asked as well, and where the pinned
torch is older than 2.3. A note: training is slow, not wrong.

**Silence** a line with `# vc2doctor: ignore[VC115]`.

**Since** torch 2.3; `including_emulation` since 2.4 (2.3.1 does not take it).
"""

from collections.abc import Iterator

from vc2doctor.core.versions import older
from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding

_SINCE, _ASKED_SINCE = "2.3", "2.4"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find questions for bfloat16 that emulation answers with yes."""
    for module in facts.code.files.modules.values():
        for call in module.calls:
            if (
                call.name != "is_bf16_supported"
                or "cuda" not in module.dotted(call.node.func)
                or call.node.args
                or call.node.keywords
            ):
                continue
            torch = facts.code.version(facts.code.unit_of(module), "torch")
            asked = "get_device_capability" in module.source.text
            if asked or facts.stages.of(call.place) is Stage.INFERS or older(torch, _SINCE):
                continue
            plain = older(torch, _ASKED_SINCE)
            yield build.at(
                module,
                call.node,
                "VC115",
                Severity.NOTE,
                "torch.cuda.is_bf16_supported() is True for emulation too: on a V100 or T4",
                remedy="Ask for native support: "
                + (
                    "torch.cuda.get_device_capability() >= (8, 0)."
                    if plain
                    else "is_bf16_supported(including_emulation=False)."
                ),
                unsafe=() if plain else (change.keyword(module, call.node, "including_emulation", "False"),),
                url="https://github.com/pytorch/pytorch/blob/main/torch/cuda/__init__.py",
            )
