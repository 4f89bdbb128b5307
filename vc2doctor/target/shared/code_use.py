"""How the user's code goes through the doors, as far as it can be read: what a door tries beside its plain form."""

from typing import Any, Dict, NamedTuple, Tuple


class CodeUse(NamedTuple):
    """What the code does. The defaults mean that nothing of it was seen.

    ``adapts_model``: it calls ``get_peft_model``. ``prompts`` are the configuration classes of
    peft's prompt learning that it uses for causal language models. ``uses_trainer``: it
    trains through ``transformers.Trainer``. ``checkpointing`` says where gradient checkpointing is switched on: by the
    ``arguments`` of the trainer, by the model ``before`` it gets adapters, or ``after``. ``reentrant`` is ``False`` if
    the code asks for the other form. ``passes_gradients``: something lets gradients reach the first block although the
    base model is frozen, such as ``enable_input_require_grads``. ``accumulation`` is the number of batches to a step of
    ``transformers.Trainer``. ``resumes``: it ``does`` go on from a checkpoint, or it
    ``may``, as a run decides. ``targets`` are the ``target_modules`` of adapters; with ``is_pattern`` it is one regular
    expression.
    """

    adapts_model: bool = False
    prompts: Tuple[str, ...] = ()
    uses_trainer: bool = False
    checkpointing: str = ""
    reentrant: bool = True
    passes_gradients: bool = False
    accumulation: int = 1
    resumes: str = ""
    targets: Tuple[str, ...] = ()
    is_pattern: bool = False


def parsed(keys: Dict[str, Any]) -> CodeUse:
    """Return the use of the JSON object ``keys``, which may lack some.

    Raises:
        TypeError: a key is unknown.
    """
    fields: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in keys.items()}
    return CodeUse(**fields)
