"""A default that changes how code trains, in a release that the requirements allow.

**What it does.** Reports loads of trained weights without a dtype where the requirements allow transformers both before
and from 5.0 on, and loads of checkpoints that torch 2.6 and newer refuse: a warning where the code calls a method of
modules on what it loads, else a note.

**Why is this bad.** transformers 5 loads weights in the dtype of the checkpoint where no dtype is given; older releases
load them in float32. Code that names no dtype then trains bfloat16 or float16 weights without a float32 copy: small
updates are lost, and float16 weights fail under a GradScaler. The day of the installation decides which of the two
happens. Gradient checkpointing is reentrant before 5 and not from 5 on.

**Example**

    # requirements.txt: transformers>=4.40
    model = AutoModelForCausalLM.from_pretrained(name)

**Use instead**

    model = AutoModelForCausalLM.from_pretrained(name, torch_dtype=torch.float32)

**How to fix.** Write the dtype, or allow only one side of the change in the requirements. To keep a line, add `#
vc2doctor: ignore[VC119]`.

**Quiet.** No finding where the requirements allow only one side of the change, where a dtype or a quantization is given
(also by `**kwargs`), and in code that does not train. It is a note where no requirement names the package, and for models that generate no
text, whose checkpoints are float32 as a rule.

**References**

* https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md (read in the wheels of 4.57.6 and 5.0.0, `modeling_utils.py`)
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_names import external_name
from vc2doctor.linter.analyse.api_target import Target, target_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.detectors.checkpoint_loads import checkpoint_loads
from vc2doctor.linter.knowledge.api_table import PackageTable, load_table
from vc2doctor.linter.knowledge.loader_keywords import MODEL_CLASSES
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.module import Call, last_name

_CHANGED_IN = "5.0.0"
_LANGUAGE_MODELS = re.compile(r"(CausalLM|ConditionalGeneration|ImageTextToText|Vision2Seq|LMHeadModel)$")
"""Classes of models that generate text."""
_DECIDES = frozenset({"dtype", "torch_dtype", "quantization_config", "load_in_8bit", "load_in_4bit"})
_URL = "https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield one finding for each unit that loads trained weights without a dtype, and allows both defaults."""
    yield from checkpoint_loads(facts)
    table = load_table()
    package = table.packages.get("transformers") if table else None
    if package is None:
        return
    loads: dict[str, list[Call]] = defaultdict(list)
    for module in facts.code.files.modules.values():
        for call in module.calls:
            if _loads_without_dtype(facts, call) and facts.stages.of(call.place) is Stage.TRAINS:
                loads[facts.code.requirements_folder_of(module.name)].append(call)
    for folder, calls in loads.items():
        target = target_of(facts.code, folder, package)
        if target is not None and _allows_both(target, package):
            yield _finding(calls, target)


def _loads_without_dtype(facts: Facts, call: Call) -> bool:
    if call.name != "from_pretrained" or any(keyword.arg is None for keyword in call.node.keywords):
        return False
    if any(keyword.arg in _DECIDES for keyword in call.node.keywords):
        return False
    module = call.place.module
    dotted = external_name(facts.code, module, module.dotted(call.receiver)) or ""
    owner, _, name = dotted.rpartition(".")
    return owner.partition(".")[0] == "transformers" and MODEL_CLASSES.fullmatch(name) is not None


def _is_language_model(call: Call) -> bool:
    """Return whether a load is of a class whose checkpoints are half as a rule; encoders are published in float32."""
    return _LANGUAGE_MODELS.search(last_name(call.receiver)) is not None


def _allows_both(target: Target, package: PackageTable) -> bool:
    position = package.places.get(_CHANGED_IN)
    if position is None:
        return False
    older = (1 << position) - 1
    return bool(target.bits & older) and bool(target.bits & ~older)


def _finding(calls: list[Call], target: Target) -> CodeFinding:
    first, *others = calls
    return build.at_node(
        first.place.module,
        first.node,
        "VC119",
        Severity.WARNING if target.certainty != "unnamed" and any(map(_is_language_model, calls)) else Severity.NOTE,
        "the weights are float32 under transformers 4, and have the checkpoint's dtype under transformers 5",
        remedy="Pass the dtype: torch_dtype=torch.float32 for trained weights, or the one that you want.",
        evidence=(target.reason, "the default of from_pretrained changed in 5.0.0, as its wheel shows"),
        url=_URL,
        also=tuple(build.place_of(call.place.module, call.node) for call in others),
    )
