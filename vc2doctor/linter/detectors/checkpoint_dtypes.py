"""Models that are trained as a whole in the dtype of their checkpoint, where no dtype is given or ``"auto"`` is.

Loads with ``"auto"`` whose model's family is known have that family's dtype already: ``WeightFacts.loads``.
transformers 5 loads every model in the dtype of its checkpoint:
https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_names import external_name
from vc2doctor.linter.analyse.api_target import target_of
from vc2doctor.linter.analyse.asked import Asked, asked_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.lineage import Trained
from vc2doctor.linter.detectors.trained_dtype import (
    BFLOAT16_EFFECT,
    gets_adapters_in_place,
    keeps_small_updates,
    large_rate,
)
from vc2doctor.linter.detectors.weight_causes import is_quantized, upcasts
from vc2doctor.linter.knowledge.api_table import load_table
from vc2doctor.linter.knowledge.loader_keywords import MODEL_CLASSES
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call
from vc2doctor.matrix.model_families import family_of, is_published_in_bfloat16

_OF_CHECKPOINT = "auto"
_CHANGED_IN = "5.0.0"
_URL = "https://huggingface.co/docs/transformers/main_classes/model#transformers.PreTrainedModel.from_pretrained.dtype"


def checkpoint_dtypes(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loads of whole trained models whose dtype is that of a checkpoint (VC109), each once.

    It is a warning if the name of the model says that its checkpoint is bfloat16, and a note if the name says nothing.
    """
    reported: set[ast.expr] = set()
    for trained in facts.lineages.trained:
        load = _whole_load(facts, trained)
        asked = asked_of(facts, trained) if load is not None else None
        if load is None or asked is None or load.node in reported or asked.has_engine or asked.scales_float16:
            continue
        reason = _why_of_checkpoint(facts, load)
        is_bfloat16 = _is_bfloat16(facts, load)
        is_known = not trained.is_by_trainer or bool(asked.why)
        if reason is None or is_bfloat16 is False or not is_known or keeps_small_updates(trained.consumer):
            continue
        if large_rate(facts, [trained.consumer]) is None:
            reported.add(load.node)
            yield _finding(load, trained, asked, reason, is_bfloat16=is_bfloat16)


def _whole_load(facts: Facts, trained: Trained) -> Call | None:
    """Return the only call that loads a model, if nothing casts it, quantizes it or adds adapters to it."""
    lineage = trained.lineage
    makers = lineage.makers
    if len(makers) != 1 or makers[0].name != "from_pretrained" or not _is_of_transformers(facts, makers[0]):
        return None
    is_changed = bool(facts.lineages.casts_of(lineage)) or any(step.name in ("float", "to") for step in lineage.steps)
    if is_changed or lineage.adapter is not None or lineage.is_prepared_for_kbit or gets_adapters_in_place(trained):
        return None
    is_open = any(keyword.arg is None for keyword in makers[0].node.keywords)
    return None if is_open or is_quantized(facts, lineage) or upcasts(trained) else makers[0]


def _is_of_transformers(facts: Facts, load: Call) -> bool:
    module = load.place.module
    owner, _, name = (external_name(facts.code, module, module.dotted(load.receiver)) or "").rpartition(".")
    return owner.partition(".")[0] == "transformers" and MODEL_CLASSES.fullmatch(name) is not None


def _why_of_checkpoint(facts: Facts, load: Call) -> str | None:
    """Return why a load takes the dtype of the checkpoint; ``None``: it does not, or the release decides."""
    dtype = load.argument("dtype") or load.argument("torch_dtype")
    if dtype is not None:
        return f"dtype={ast.unparse(dtype)}" if facts.values.of(dtype, load.place) == {_OF_CHECKPOINT} else None
    table = load_table()
    package = table.packages.get("transformers") if table else None
    folder = facts.code.requirements_folder_of(load.place.module.name)
    target = target_of(facts.code, folder, package) if package is not None else None
    position = package.places.get(_CHANGED_IN) if package is not None else None
    # Where nothing names a release, or releases before 5 are allowed, VC119 says that the default changed.
    if target is None or position is None or target.certainty == "unnamed" or target.bits & ((1 << position) - 1):
        return None
    return f"without a dtype, transformers 5 takes that of the checkpoint ({target.reason})"


def _is_bfloat16(facts: Facts, load: Call) -> bool | None:
    """Return whether the name of a loaded model says that its checkpoint is bfloat16; ``None``: it says nothing."""
    name = load.argument("pretrained_model_name_or_path", 0)
    values = facts.values.of(name, load.place) if name is not None else frozenset()
    names = [value for value in values if isinstance(value, str)]
    if names and all(map(is_published_in_bfloat16, names)):
        return True
    return False if any(family_of(each) is not None for each in names) else None


def _finding(load: Call, trained: Trained, asked: Asked, reason: str, *, is_bfloat16: bool | None) -> CodeFinding:
    consumer = trained.consumer
    condition = "" if is_bfloat16 else "if the checkpoint is bfloat16, as most language models are, "
    return build.at_node(
        load.place.module,
        load.node,
        "VC109",
        Severity.WARNING if is_bfloat16 else Severity.NOTE,
        f"{condition}all weights are trained in bfloat16 without float32 copies: {BFLOAT16_EFFECT}",
        evidence=tuple(
            filter(
                None,
                (
                    reason,
                    f"trained by {consumer.name} at {build.place_of(consumer.place.module, consumer.node).location}",
                    asked.why,
                ),
            )
        ),
        remedy="Load them in float32 (dtype=torch.float32) and let bf16=True or autocast compute in bfloat16, or train "
        "with DeepSpeed, which keeps float32 copies.",
        url=_URL,
        role="weights",
    )
