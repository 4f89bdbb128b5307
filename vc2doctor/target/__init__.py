"""What runs in the target's Python (3.8 or newer, torch 1.13 or newer).

The doctor starts it by path and imports nothing of it but ``shared``. It imports nothing of the doctor.
"""
