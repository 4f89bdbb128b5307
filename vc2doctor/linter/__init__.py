"""What the code says: contradictions of mixed precision in training code, found without running any of it.

Data flows one way: files → sources → modules and configs → CodeFacts → rules → findings → diagnosis. Nothing here
imports or executes what it reads, and nothing here imports torch.
"""
