"""Emulated bfloat16 that is taken for support.

**What it does.** Reports `torch.cuda.is_bf16_supported()` in training code where it counts emulation.

**Why is this bad.** In torch 2.3 and newer the function counts emulation (read in the wheels of 2.3.1 and 2.4.1; 2.2.2
says False on a V100). It says True on a V100 or T4, where bfloat16 is computed in float32 and cast, many times slower
than float16. Native bfloat16 needs compute capability 8.0 (Ampere). Training is slow there, and not wrong, so this is a
note.

**Example**

    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

**Use instead**

    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16

**How to fix.** Ask with `including_emulation=False`, which torch takes since 2.4 (2.3.1 does not). `vc2doctor lint
--unsafe-fixes` writes it. To keep a line, add `# vc2doctor: ignore[VC115]`.

**Quiet.** No finding where `including_emulation=False` is given, where the compute capability is asked as well, and
where the pinned torch is older than 2.3.

**References**

* https://github.com/pytorch/pytorch/issues/124996
* https://github.com/pytorch/pytorch/blob/main/torch/cuda/__init__.py
"""

from collections.abc import Iterator

from vc2doctor.core.versions import older
from vc2doctor.findings import Severity
from vc2doctor.linter import build, change
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call

_EMULATION_COUNTS_SINCE, _KEYWORD_SINCE = "2.3", "2.4"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield calls of ``is_bf16_supported`` that emulation answers with yes."""
    for module in facts.code.files.modules.values():
        asks_capability = "get_device_capability" in module.source.text
        for call in module.calls:
            if not _asks_without_arguments(call) or asks_capability or facts.stages.of(call.place) is Stage.INFERS:
                continue
            torch = facts.code.version(facts.code.unit_of(module), "torch")
            if not older(torch, _EMULATION_COUNTS_SINCE):
                yield _counts_emulation(call, takes_keyword=not older(torch, _KEYWORD_SINCE))


def _asks_without_arguments(call: Call) -> bool:
    return (
        call.name == "is_bf16_supported"
        and "cuda" in call.place.module.dotted(call.node.func)
        and not call.node.args
        and not call.node.keywords
    )


def _counts_emulation(call: Call, *, takes_keyword: bool) -> CodeFinding:
    module = call.place.module
    question = (
        "is_bf16_supported(including_emulation=False)."
        if takes_keyword
        else "torch.cuda.get_device_capability() >= (8, 0)."
    )
    edit = change.set_keyword(module, call.node, "including_emulation", "False")
    return build.at_node(
        module,
        call.node,
        "VC115",
        Severity.NOTE,
        "torch.cuda.is_bf16_supported() is also True where bfloat16 is only emulated, as on a V100 or T4",
        remedy=f"Ask for native support: {question}",
        unsafe_edits=(edit,) if takes_keyword else (),
        url="https://github.com/pytorch/pytorch/blob/main/torch/cuda/__init__.py",
    )
