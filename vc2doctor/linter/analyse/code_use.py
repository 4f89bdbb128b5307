"""What the code does at the doors: gradient checkpointing under adapters, accumulated gradients, ``target_modules``.

Only what is written out counts, and what runs whenever the program does: a switch that a run decides says nothing.
"""

import ast
import re
from collections.abc import Iterator, Sequence

from vc2doctor.linter.analyse.api_programs import programs_of
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.read.module import Call, last_name
from vc2doctor.target.shared.code_use import CodeUse

_ARGUMENTS = ("TrainingArguments", "Seq2SeqTrainingArguments")
_TRAINERS = ("Trainer", "Seq2SeqTrainer")
_OWN_STEPS = ("compute_loss", "training_step")
"""Methods of a trainer of one's own that decide how accumulated losses are averaged."""
_PASSES_GRADIENTS = re.compile(
    r"enable_input_require_grads|prepare_model_for_(kbit|int8)_training|make_inputs?_require_grads?|modules_to_save"
    r"|embed_tokens|unsloth|\.requires_grad_\((True)?\)"
)
"""What lets gradients into the first block of a frozen model, or trains something else than adapters in the blocks."""
_PROMPTS = ("PrefixTuningConfig", "PromptTuningConfig", "PromptEncoderConfig")
"""What they train stands before the first block."""
_CAUSAL = "CAUSAL_LM"
_OF_DIFFUSION = re.compile(r"\bdiffusers\b")
"""Adapters are made for other models than the language model there."""
_EVERY_LINEAR = "all-linear"


def use_of(facts: Facts) -> CodeUse:
    """Return what the program of a project that does most at the doors does there."""
    uses = [_use_of_program(facts, calls) for calls in _programs(facts)]
    return max(uses, key=_weight, default=CodeUse())


def _weight(use: CodeUse) -> int:
    return sum(value != default for value, default in zip(use, CodeUse(), strict=True))


def _programs(facts: Facts) -> Iterator[list[Call]]:
    """Yield the calls of each program that always run, as far as its code says."""
    modules = facts.code.files.modules
    for program in programs_of(facts.code):
        calls = (call for name in sorted(program.files) if name in modules for call in modules[name].calls)
        yield [call for call in calls if facts.values.is_reached(call.place)]


def _use_of_program(facts: Facts, calls: Sequence[Call]) -> CodeUse:
    text = "\n".join(dict.fromkeys(call.place.module.source.text for call in calls))
    by_peft = [call for call in calls if _dotted(call) == "peft.get_peft_model"]
    arguments = [call for call in calls if call.name in _ARGUMENTS and _dotted(call).startswith("transformers.")]
    uses_trainer = any(call.name in _TRAINERS and _dotted(call).startswith("transformers.") for call in calls)
    targets, is_pattern = _targets(calls) if not _OF_DIFFUSION.search(text) else ((), False)
    has_own_steps = any(f"def {name}(" in text for name in _OWN_STEPS)
    return CodeUse(
        adapts_model=bool(by_peft),
        prompts=tuple(sorted({call.name for call in calls if _is_causal_prompt(call)})),
        uses_trainer=uses_trainer,
        checkpointing=_checkpointing(facts, calls, by_peft, arguments if uses_trainer else []),
        reentrant=not re.search(r"use_reentrant[\"']?\s*[=:]\s*False", text),
        passes_gradients=_PASSES_GRADIENTS.search(text) is not None or any(call.name in _PROMPTS for call in calls),
        accumulation=_accumulation(facts, arguments) if uses_trainer and not has_own_steps else 1,
        resumes=_resumes(calls) if uses_trainer else "",
        targets=targets,
        is_pattern=is_pattern,
    )


def _is_causal_prompt(call: Call) -> bool:
    """Return whether a call configures prompt learning for a language model: an encoder takes prefixes otherwise."""
    task = call.argument("task_type", 0)
    name = task.value if isinstance(task, ast.Constant) else last_name(task) if task is not None else _CAUSAL
    return call.name in _PROMPTS and _dotted(call).startswith("peft.") and name == _CAUSAL


def _dotted(call: Call) -> str:
    return call.place.module.dotted(call.node.func)


def _checkpointing(facts: Facts, calls: Sequence[Call], by_peft: Sequence[Call], arguments: Sequence[Call]) -> str:
    """Return where gradient checkpointing is switched on; empty: nowhere, or the order is not known."""
    switches = [call for call in calls if call.name == "gradient_checkpointing_enable"]
    for switch in switches if by_peft else ():
        if len(switches) > 1 or len(by_peft) > 1 or switch.place.function is not by_peft[0].place.function:
            return ""
        return "before" if switch.node.lineno < by_peft[0].node.lineno else "after"
    asked = (call.argument("gradient_checkpointing") for call in arguments)
    is_on = [
        facts.values.truth(value, call.place) for value, call in zip(asked, arguments, strict=True) if value is not None
    ]
    return "arguments" if is_on and all(is_on) else "before" if switches else ""


def _accumulation(facts: Facts, arguments: Sequence[Call]) -> int:
    """Return the number of batches to a step; 1: it is not written out, or there are several."""
    numbers = set()
    for call in arguments:
        value = call.argument("gradient_accumulation_steps")
        numbers |= set(facts.values.of(value, call.place)) if value is not None else set()
    number = numbers.pop() if len(numbers) == 1 else 1
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 1 else 1


def _resumes(calls: Sequence[Call]) -> str:
    """Return whether a trainer ``does`` go on from a checkpoint, or ``may``; empty: it never does."""
    given = [call.argument("resume_from_checkpoint", 0) for call in calls if call.name == "train"]
    written = [value for value in given if value is not None]
    constants = [value.value for value in written if isinstance(value, ast.Constant)]
    if any(isinstance(value, str) or value is True for value in constants):
        return "does"
    return "may" if len(written) > len(constants) else ""


def _targets(calls: Sequence[Call]) -> tuple[tuple[str, ...], bool]:
    """Return the modules that adapters are made for, and whether they are one pattern; none: they are not known."""
    configs = [call for call in calls if call.name == "LoraConfig"]
    written = [call.argument("target_modules") for call in configs]
    if len(configs) != 1 or written[0] is None:
        return (), False
    value = _assigned(written[0], configs[0])
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return ((value.value,), True) if value.value != _EVERY_LINEAR else ((), False)
    if not isinstance(value, ast.List | ast.Tuple | ast.Set) or not value.elts:
        return (), False
    names = [each.value for each in value.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return (tuple(names), False) if len(names) == len(value.elts) else ((), False)


def _assigned(expression: ast.expr, call: Call) -> ast.expr:
    """Return what a name is that is assigned once in the scopes of a call; any other expression as it is."""
    name = last_name(expression) if isinstance(expression, ast.Name) else ""
    scope = next((each for each in call.place.function.scopes() if name in each.names), None)
    assigned = scope.names[name] if scope is not None and name else []
    return assigned[0][0] if len(assigned) == 1 else expression
