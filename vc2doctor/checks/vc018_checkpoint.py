"""Your checkpoint or your function cannot be loaded, or the checkpoint holds NaN or infinity.

``vc2doctor probe --model PATH`` loads safetensors or GGUF files with the installed transformers: offline, without
running code that came with the weights, and only if they fit into memory. ``vc2doctor probe --entry module:function``
imports the module in the target interpreter, with the current directory on its path. The evidence is the exception: an
architecture that this version of transformers does not know, a damaged file, a missing package, or a lack of memory.
An exception in the forward pass is reported here as well if nothing is trained.

Why it matters: a checkpoint with NaN or infinity is damaged, and no precision repairs it. The evidence lists the
tensors and how many of their values are not finite.

What to do: fix the exception in the evidence. Replace a damaged checkpoint by one of an earlier step, or download it
again.
"""

from collections.abc import Iterator

from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import Plan
from vc2doctor.checks.symptoms import describe
from vc2doctor.core.failure import Failure
from vc2doctor.core.wording import counted
from vc2doctor.findings import Finding, Severity
from vc2doctor.target.shared.spec import entry_parts

_URL = "https://huggingface.co/docs/transformers/main_classes/model"

_OF_CHECKPOINTS = {
    "MemoryError": "Use a machine with more memory.",
    # These classes are in target/probe/checkpoint_files.py, which the doctor cannot import.
    "TokenizerMissingError": "Save the tokenizer there: tokenizer.save_pretrained({checkpoint!r}).",
    "CheckpointError": "A checkpoint is a folder with config.json, safetensors and the tokenizer, as save_pretrained"
    " writes them, or a .gguf file. Add what is missing, or name another one.",
}
"""What to do about an exception that ended the loading, by its type."""


def check(examination: Examination) -> Iterator[Finding]:
    """Find a checkpoint or function that cannot be loaded, and a checkpoint that is not finite."""
    yield from _not_loaded(examination)
    yield from _not_finite(examination)


def _not_loaded(examination: Examination) -> Iterator[Finding]:
    plan, probe = examination.plan, examination.probe
    if probe is None:
        return
    if probe.load_failure is not None:
        evidence = (describe(probe.load_failure),)
        remedy = _load_remedy(plan, probe.load_failure)
        yield _finding(f"{plan.custom_subject} cannot be loaded", evidence, remedy)
    elif probe.headroom_failure is not None and not plan.trains:
        # If recipes run, VC010 reports the same exception.
        message = f"{plan.custom_subject} was loaded, but its range cannot be measured"
        remedy = "The forward pass fails. Fix this error, then run the probe again."
        yield _finding(message, (describe(probe.headroom_failure),), remedy)


def _load_remedy(plan: Plan, failure: Failure) -> str:
    """Return what to do about the exception that ended the loading."""
    if failure.type in _OF_CHECKPOINTS:
        return _OF_CHECKPOINTS[failure.type].format(checkpoint=plan.checkpoint)
    if plan.entry is None:
        return (
            "If this transformers does not know the architecture, install a newer one. If a file is damaged, save or"
            " download it again."
        )
    module, function = entry_parts(plan.entry)
    # The class is in target/probe/user_function.py, which the doctor cannot import.
    if failure.type == "EntryError":
        return f"Check the name after the colon: the module {module} must define a function {function}."
    if failure.missing is not None and failure.missing.symbol is None and failure.missing.module == module:
        return "Check the name before the colon, and start the doctor in the directory that holds this module."
    return f"Fix this error: it is raised when {module} is imported."


def _not_finite(examination: Examination) -> Iterator[Finding]:
    plan, probe = examination.plan, examination.probe
    if probe is None or plan.checkpoint is None:
        return
    loaded, broken = probe.loaded, probe.range_broken
    if loaded is not None and loaded.non_finite_tensors:
        count = loaded.non_finite_tensors
        message = f"{plan.checkpoint} holds NaN or infinity in {counted(count, 'tensor')}"
        evidence = [f"{entry.tensor}: {entry.values} of {entry.of} values" for entry in loaded.non_finite]
        if count > len(evidence):
            evidence.append(f"and {count - len(evidence)} more tensors")
    elif broken is not None:
        message = f"the forward pass of {plan.checkpoint} is not finite in float32"
        evidence = [f"the first result that is not finite comes from {broken.description}"]
    else:
        return
    remedy = "Take the checkpoint of an earlier step, or download it again. No precision repairs these values."
    yield _finding(message, tuple(evidence), remedy)


def _finding(message: str, evidence: tuple[str, ...], remedy: str) -> Finding:
    return Finding(
        id="VC018",
        severity=Severity.ERROR,
        message=message,
        evidence=evidence,
        remedy=remedy,
        url=_URL,
    )
