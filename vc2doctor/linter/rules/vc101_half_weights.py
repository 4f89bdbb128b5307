"""Weights that are loaded in float16 and then trained.

**What it does.** Reports loads in float16 (`torch_dtype=torch.float16`) of weights that are trained or that gradients
pass through, and casts of modules to float16 beside a flag of the run that says otherwise.

**Why is this bad.** float16 ends at 65504. Models that were released in bfloat16 (Mistral, Phi 3, Qwen, Gemma, Llama 3)
have activations beyond that: SmolLM2-135M reaches 27,347 on short texts (measured), and Gemma 3 27B 8.6 times what
float16 holds. One overflow makes the loss NaN, whatever the learning rate is. Many projects load the model in several
branches, and a change of one line misses the others.

**Example**

    model = AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.float16)
    model = get_peft_model(model, lora)

**Use instead**

    model = AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.bfloat16)
    model = get_peft_model(model, lora)

**How to fix.** Load in bfloat16 in every branch, together with the autocast region that computes with the weights
(VC103): `vc2doctor lint --precision bf16 --fix`. bfloat16 needs an Ampere or newer GPU. To keep a line, add `#
vc2doctor: ignore[VC101]`. The keyword is `torch_dtype` in every release of transformers, and `dtype` since 4.56.

**Quiet.** No finding for inference, quantized bases, dtypes that a flag of the run decides, and models that were
trained in float16 (OPT). A note where float16 is used consistently with loss scaling, where the class that loads the
weights can freeze them, and for copies that no optimizer trains: a moving average, a teacher.

**References**

* https://huggingface.co/docs/transformers/main_classes/model#transformers.PreTrainedModel.from_pretrained.torch_dtype
* https://arxiv.org/abs/2605.15572 (activations of Gemma 3 and gpt-oss)
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.asked import asked_of
from vc2doctor.linter.analyse.default_dtype import HalfConstruction, half_constructions
from vc2doctor.linter.analyse.dtypes import BFLOAT16, FLOAT16, torch_dtype
from vc2doctor.linter.analyse.expressions import value_at
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.frozen import is_frozen_by_its_class, is_only_evaluated, is_used_without_gradients
from vc2doctor.linter.analyse.stage import Stage, words
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.detectors.trained_dtype import half_bases
from vc2doctor.linter.knowledge.peft_adapters import adapters_follow_base_dtype
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.read.module import Place, last_name
from vc2doctor.linter.to_bfloat16 import float16_to_bfloat16, tensor_type_to_bfloat16
from vc2doctor.matrix.model_families import family_of

_URL = "https://huggingface.co/docs/transformers/main_classes/model#transformers.PreTrainedModel.from_pretrained.torch_dtype"
_PRECISION_WORDS = ("fp16", "float16", "half", "dtype", "bf16", "precision")


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Yield loads and casts to float16 of weights that are trained."""
    for load in facts.weights.loads:
        if _is_trained_in_float16(facts, load):
            yield _float16_load(facts, load)
    for cast in facts.weights.casts:
        if _ignores_the_flag(facts, cast):
            yield _float16_cast(cast)
    yield from half_bases(facts)
    for made in half_constructions(facts.code, facts.values, facts.stages):
        if made.dtype == FLOAT16:
            yield _half_construction(made)


def _is_trained_in_float16(facts: Facts, load: Load) -> bool:
    if load.stage is not Stage.TRAINS or load.dtypes != {FLOAT16}:
        return False
    if load.family is not None and load.family.trained_in == "float16":
        return False
    if _is_chosen_by_the_run(facts, load) or _is_only_used(load):
        return False
    # The dtype of a 4-bit base is that of its computation. It matters where the trainer computes in bfloat16.
    return load.quantized is None or (load.quantized == "4bit" and _trainer_uses_bf16(facts, load))


def _is_only_used(load: Load) -> bool:
    """Return whether a load is a pipeline, or the loaded model is frozen as a whole in the same function."""
    place = load.place
    loader = load.node.func if isinstance(load.node, ast.Call) else None
    if isinstance(loader, ast.Attribute) and last_name(loader.value).endswith("Pipeline"):
        return True
    statement = place.statement
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return False
    return any(
        call.name == "requires_grad_" and ast.unparse(call.node) == f"{target.id}.requires_grad_(False)"
        for call in place.module.calls_in(place.function)
    )


def _is_chosen_by_the_run(facts: Facts, load: Load) -> bool:
    """Return whether a load is in a branch for float16 that only a run can choose: ``elif dtype == "float16":``."""
    asks_for_float16 = any(
        word in ast.unparse(condition)
        for condition, wanted in load.place.conditions
        if wanted
        for word in ("float16", "fp16", "half")
    )
    return asks_for_float16 and facts.values.is_reached(load.place) is None


def _trainer_uses_bf16(facts: Facts, load: Load) -> bool:
    """Return whether the trainer in the module of a load computes in bfloat16; TRL's configs do by default."""
    for call in load.place.module.calls:
        if not call.name.endswith(("Config", "TrainingArguments")) or call.name in ("BitsAndBytesConfig", "LoraConfig"):
            continue
        fp16, bf16 = call.argument("fp16"), call.argument("bf16")
        if fp16 is not None and facts.values.truth(fp16, call.place) is not False:
            return False
        if bf16 is not None and facts.values.truth(bf16, call.place):
            return True
        if call.place.module.dotted(call.node.func).partition(".")[0] == "trl":
            return True
    return False


def _float16_load(facts: Facts, load: Load) -> CodeFinding:
    module = load.place.module
    is_dead = facts.values.is_reached(load.place) is False
    # Weights loaded in float16 decide what the model computes in, so this is a warning even for an unknown family.
    fails = load.family is not None and load.family.in_float16 == "fails"
    severity = Severity.ERROR if fails else Severity.WARNING
    subject = f"{load.family.name}, trained in bfloat16, is" if load.family else "weights are"
    is_coherent = not _is_of_bf16_family(load) and _is_coherent_base(facts, load)
    is_frozen = load.is_of_copy or is_frozen_by_its_class(facts, load) or is_used_without_gradients(facts, load)
    return build.at_node(
        module,
        load.node,
        "VC101",
        Severity.NOTE if load.is_inert or is_dead or is_coherent or is_frozen else severity,
        f"{subject} loaded in float16" + (", and are frozen or a copy here" if is_frozen else " and trained"),
        evidence=tuple(_evidence(facts, load)),
        remedy="Load in bfloat16, in every branch, together with the region that computes with it (VC103).",
        url=_URL,
        role="weights",
        cause="float16",
        if_missed="the weights are rounded to float16 when loaded; the residual stream becomes float32 (more memory), "
        "and what passes through float16 storage can still overflow",
        bf16_edits=float16_to_bfloat16(module, load.dtype_expression),
    )


def _is_of_bf16_family(load: Load) -> bool:
    return load.family is not None and load.family.trained_in == "bfloat16"


def _is_coherent_base(facts: Facts, load: Load) -> bool:
    """Return whether only adapters on the loaded base are trained, under loss scaling or an engine that scales."""
    for trained in facts.lineages.trained:
        if any(maker.node is load.node for maker in trained.lineage.makers) and trained.lineage.adapter is not None:
            asked = asked_of(facts, trained)
            return bool(asked.scales_float16) or asked.has_engine
    return False


def _evidence(facts: Facts, load: Load) -> Iterator[str]:
    module = load.place.module
    yield f"{build.code(load.dtype_expression)} at {build.place_of(module, load.dtype_expression).location}"
    if load.is_inert:
        yield "from_config of transformers 4 reads only the keyword torch_dtype, so this line has no effect there"
    if load.family:
        yield load.family.source
    peft = facts.code.version(facts.code.unit_of(module), "peft")
    follows_base = adapters_follow_base_dtype(peft)
    if follows_base is not None:
        yield f"peft {peft} makes adapters {'float16 like the base' if follows_base else 'in float32'}"


def _half_construction(made: HalfConstruction) -> CodeFinding:
    module, family = made.setter.place.module, family_of(made.cls.name)
    return build.at_node(
        module,
        made.setter.node,
        "VC101",
        family.severity if family is not None and family.trained_in == "bfloat16" else Severity.WARNING,
        f"{made.cls.name} is constructed with float16 as the default dtype, and gradients pass through it",
        evidence=(f"{made.cls.name} at {build.place_of(made.cls.module, made.cls.node).location}",),
        remedy="Construct it with bfloat16 as the default, or in float32 with autocast around the step.",
        url="https://docs.pytorch.org/docs/stable/generated/torch.set_default_dtype.html",
        role="weights",
        cause="float16",
        if_missed="the weights stay float16, and what passes through them can overflow",
        bf16_edits=tensor_type_to_bfloat16(module, made.setter.node),
    )


def _ignores_the_flag(facts: Facts, cast: Cast) -> bool:
    """Return whether a module is cast to a literal float16 in code that elsewhere lets a flag choose the dtype."""
    if cast.stage is not Stage.TRAINS or cast.dtypes != {FLOAT16} or cast.dtype_argument is None:
        return False
    if not cast.is_of_module or cast.is_of_frozen:
        return False
    place = cast.call.place
    if place.function.name == "forward" or UNKNOWN in cast.dtypes:
        return False
    if not _is_literal(cast.dtype_argument, place):
        return False
    conditions = [ast.unparse(condition) for condition, _ in place.conditions]
    if any(word in condition for condition in conditions for word in _PRECISION_WORDS):
        return False
    loads = [load for load in facts.weights.loads if load.place.module is place.module]
    return any(BFLOAT16 in load.dtypes for load in loads) or "bf16" in ast.unparse(place.function.node)


def _is_literal(dtype: ast.expr, place: Place) -> bool:
    """Return whether every run casts to the same dtype: a name that is assigned per branch follows the run's flag."""
    value, assigned_at = value_at(dtype, place)
    return torch_dtype(assigned_at.module.dotted(value)) is not None


def _float16_cast(cast: Cast) -> CodeFinding:
    module = cast.call.place.module
    return build.at_node(
        module,
        cast.call.node,
        "VC101",
        # A tower is frozen as a rule, and its features are cast back.
        Severity.NOTE
        if words(cast.name) & {"tower", "vision", "encoder"} or is_only_evaluated(cast)
        else Severity.WARNING,
        f"{build.code(cast.receiver)} is cast to float16, and the run's own flag is ignored here",
        evidence=(f"{build.code(cast.call.node)}; elsewhere the same code asks for bfloat16",),
        remedy="Give it the dtype that the run computes in.",
        role="weights",
        cause="float16",
        if_missed="this part computes in float16 beside a bfloat16 model",
        bf16_edits=float16_to_bfloat16(module, cast.dtype_argument) if cast.dtype_argument is not None else (),
    )
