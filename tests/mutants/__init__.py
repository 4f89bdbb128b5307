"""Mutants of the judging code: small changes of it, each of which at least one unit test must notice."""
