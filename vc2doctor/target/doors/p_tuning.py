"""The door ``peft.PromptEncoderConfig``: p-tuning of a frozen model."""

from . import prompt_kit

DOOR = prompt_kit.door("p_tuning", "p-tuning (peft)", "PromptEncoderConfig", encoder_hidden_size=16)
