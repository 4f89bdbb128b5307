"""Finds contradictions of mixed precision in training code, without running the code.

Data flows one way: files → sources → modules and configurations → facts → rules → findings → diagnoses. Nothing here
imports or executes the code that it reads, and nothing here imports torch.
"""
