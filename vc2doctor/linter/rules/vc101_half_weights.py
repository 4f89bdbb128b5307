"""Weights are loaded in float16 and then trained, or gradients pass through them.

**Why.** float16 ends at 65504. Models that were released in bfloat16 (Mistral, Phi 3, Qwen, Gemma, Llama 3) have
activations beyond that: SmolLM2-135M reaches 27,347 on short texts, Gemma 3 27B 8.6 times what float16 holds. One
overflow makes the loss NaN, whatever the learning rate. A second literal in another branch is what a one-line change
misses.

**Bad**

    model = AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.float16)
    model = get_peft_model(model, lora)

**Good**

    model = AutoModelForCausalLM.from_pretrained(path, torch_dtype=torch.bfloat16)
    model = get_peft_model(model, lora)

**Quiet** for inference, 8-bit bases, dtypes that a flag of the run decides, and models trained in float16 (OPT).

**Silence** a line with `# vc2doctor: ignore[VC101]`.

**Since** every release of transformers that knows `torch_dtype`; `dtype` since 4.56.
"""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage
from vc2doctor.linter.analyse.values import BFLOAT, HALF
from vc2doctor.linter.analyse.weights import Cast, Load
from vc2doctor.linter.knowledge.peft_adapters import follow_the_base
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import UNKNOWN
from vc2doctor.linter.to_bfloat16 import halves_to_bf16

_URL = "https://huggingface.co/docs/transformers/main_classes/model#transformers.PreTrainedModel.from_pretrained.torch_dtype"


def find(facts: Facts) -> Iterator[CodeFinding]:
    """Find float16 loads of what is trained."""
    for load in facts.weights.loads:
        if (
            load.stage is Stage.TRAINS
            and load.dtypes == {HALF}
            and not _made_for_half(load)
            and not _chosen(facts, load)
        ):
            quantised = load.quantised is not None and not (load.quantised == "4bit" and _trainer_is_bf16(facts, load))
            if not quantised:
                yield _finding(facts, load)
    for cast in facts.weights.casts:
        if _ignores_the_flag(facts, cast):
            yield _literal(cast)


def _chosen(facts: Facts, load: Load) -> bool:
    """Say whether a load stands in a branch for float16 that the run chooses: ``elif dtype == "float16":``."""
    asks = any(
        word in ast.unparse(test) for test, wanted in load.place.tests if wanted for word in ("float16", "fp16", "half")
    )
    return asks and facts.values.reached(load.place) is None


def _made_for_half(load: Load) -> bool:
    return load.family is not None and load.family.trained == "float16"


def _trainer_is_bf16(facts: Facts, load: Load) -> bool:
    """Say whether the trainer beside a 4-bit load computes in bfloat16: TRL's configs do by default."""
    for call in load.place.module.calls:
        if call.name.endswith(("Config", "TrainingArguments")) and call.name not in (
            "BitsAndBytesConfig",
            "LoraConfig",
        ):
            half, bf16 = call.argument("fp16"), call.argument("bf16")
            if half is not None and facts.values.decide(half, call.place) is not False:
                return False
            if bf16 is not None and facts.values.decide(bf16, call.place):
                return True
            if call.place.module.dotted(call.node.func).startswith("trl"):
                return True
    return False


def _finding(facts: Facts, load: Load) -> CodeFinding:
    module = load.place.module
    dead = facts.values.reached(load.place) is False
    # Weights that are loaded in half are the deciding half of the fault, whatever is known of the family.
    live = Severity.ERROR if load.family is not None and load.family.float16 == "fails" else Severity.WARNING
    severity = Severity.NOTE if load.inert or dead else live
    who = f"{load.family.name}, trained in bfloat16, is" if load.family else "weights are"
    evidence = [f"{build.code(load.given)} at {build.place(module, load.given).location}"]
    if load.inert:
        evidence.append(
            "from_config of transformers 4 reads only the keyword torch_dtype, so this line has no effect there"
        )
    if load.family:
        evidence.append(load.family.source)
    evidence.extend(_peft(facts, load))
    return build.at(
        module,
        load.node,
        "VC101",
        severity,
        f"{who} loaded in float16 and trained",
        evidence=tuple(evidence),
        remedy="Load in bfloat16, in every branch, together with the region that computes with it (VC103).",
        url=_URL,
        role="weights",
        cause="float16",
        if_missed="the weights are rounded to float16 when loaded; the residual stream becomes float32 (more memory), "
        "and what passes through float16 storage can still overflow",
        bf16=halves_to_bf16(module, load.given),
    )


def _peft(facts: Facts, load: Load) -> list[str]:
    peft = facts.code.version(facts.code.unit_of(load.place.module), "peft")
    follows = follow_the_base(peft)
    if follows is None:
        return []
    return [f"peft {peft} makes adapters {'float16 like the base' if follows else 'in float32'}"]


def _ignores_the_flag(facts: Facts, cast: Cast) -> bool:
    """Say whether a module is cast to float16 for good, in code that elsewhere asks a flag of the run."""
    if (
        cast.stage is not Stage.TRAINS
        or cast.dtypes != {HALF}
        or cast.given is None
        or not cast.of_module
        or cast.of_frozen
    ):
        return False
    place = cast.call.place
    if place.function.name == "forward" or UNKNOWN in cast.dtypes:
        return False
    tests = [ast.unparse(test) for test, _ in place.tests]
    if any(word in test for test in tests for word in ("fp16", "float16", "half", "dtype", "bf16", "precision")):
        return False
    siblings = [load.dtypes for load in facts.weights.loads if load.place.module is place.module]
    return any(BFLOAT in dtypes for dtypes in siblings) or "bf16" in ast.unparse(place.function.node)


def _literal(cast: Cast) -> CodeFinding:
    module = cast.call.place.module
    assert cast.given is not None  # noqa: S101 - decided by the caller
    return build.at(
        module,
        cast.call.node,
        "VC101",
        Severity.WARNING,
        f"{build.code(cast.receiver)} is cast to float16, whatever the run's own flag says",
        evidence=(f"{build.code(cast.call.node)}; the same function asks bf16 elsewhere",),
        remedy="Give it the dtype that the run computes in.",
        role="weights",
        cause="float16",
        if_missed="this part computes in float16 beside a bfloat16 model",
        bf16=halves_to_bf16(module, cast.given),
    )
