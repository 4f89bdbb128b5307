"""Planted faults: ``models`` holds their building blocks, ``faults`` the functions for ``vc2doctor probe --entry``.

They run in the target interpreter, on its own torch, transformers and peft.
"""
