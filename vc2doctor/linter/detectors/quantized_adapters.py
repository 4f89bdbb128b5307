"""Adapters on a quantized base that trl's trainers cast to bfloat16, under the loss scaling of float16.

Read in the wheels of trl: 0.25.1 does not cast them, unless the run asks for bf16; from 0.26.0 on SFTTrainer,
GRPOTrainer and RewardTrainer cast what is trained on a 4-bit or 8-bit base, whatever the run asks for.
https://github.com/huggingface/trl/blob/v0.26.0/trl/trainer/sft_trainer.py
"""

import ast
from collections.abc import Iterator

from vc2doctor.core.versions import older
from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_target import Certainty, target_of
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.knowledge.api_table import load_table
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Module

_CASTS_SINCE = "0.26.0"
_TRAINERS = frozenset({"SFTTrainer", "GRPOTrainer", "RewardTrainer"})
_SEVERITIES = {"known": Severity.ERROR, "allowed": Severity.WARNING, "unnamed": Severity.NOTE}
_URL = "https://github.com/huggingface/trl/blob/v0.26.0/trl/trainer/sft_trainer.py"


def quantized_adapters(facts: Facts) -> Iterator[CodeFinding]:
    """Yield ``fp16=True`` for a trainer of trl whose release casts the adapters to bfloat16 (VC104)."""
    reported: set[object] = set()
    for trained in facts.lineages.trained:
        consumer = trained.consumer
        is_of_trl = consumer.name in _TRAINERS and consumer.place.module.dotted(consumer.node.func).startswith("trl")
        if (
            not is_of_trl
            or consumer.node in reported
            or not _is_quantized(facts, trained)
            or not _has_adapters(trained)
        ):
            continue
        asked = asked_of(facts, trained)
        release = _release(facts, consumer.place.module) if asked.scales_float16 else None
        if release is not None and not older(release[0], _CASTS_SINCE):
            reported.add(consumer.node)
            yield _finding(trained, asked, *release)


def _is_quantized(facts: Facts, trained: Trained) -> bool:
    makers = trained.lineage.makers
    return bool(makers) and all(
        facts.weights.quantization(maker) in ("4bit", "8bit") or "load_in_8bit=True" in ast.unparse(maker.node)
        for maker in makers
    )


def _has_adapters(trained: Trained) -> bool:
    return trained.consumer.argument("peft_config") is not None or trained.lineage.adapter is not None


def _release(facts: Facts, module: Module) -> tuple[str, Certainty, str] | None:
    """Return the trl that a module will meet, how sure that is, and why; ``None``: nothing is known of it."""
    table = load_table()
    package = table.packages.get("trl") if table is not None else None
    folder = facts.code.requirements_folder_of(module.name)
    target = target_of(facts.code, folder, package) if package is not None else None
    if package is None or target is None:
        return None
    return package.releases[target.newest], target.certainty, target.reason


def _finding(trained: Trained, asked: Asked, release: str, certainty: Certainty, reason: str) -> CodeFinding:
    consumer = trained.consumer
    return build.at_node(
        consumer.place.module,
        consumer.node,
        "VC104",
        _SEVERITIES[certainty],
        f"trl {release} casts the adapters of a quantized base to bfloat16, and fp16 scales their gradients: the first "
        "step raises on CUDA",
        evidence=(
            asked.why,
            reason,
            "NotImplementedError: _amp_foreach_non_finite_check_and_unscale_cuda has no kernel for BFloat16",
        ),
        remedy="Ask for bf16 instead of fp16, on an Ampere or newer GPU, or install trl 0.25.1 or older.",
        url=_URL,
        role="config",
        also=(asked.place,) if asked.place is not None else (),
    )
