"""The probe: real training steps in the target interpreter, with the standard library, torch, transformers and peft."""
