"""The door ``peft.PromptTuningConfig``: prompt tuning of a frozen model."""

from . import prompt_kit

DOOR = prompt_kit.door("prompt", "prompt tuning (peft)", "PromptTuningConfig")
