"""Sets of versions that really break, and what the remedy does to them; ``nox -s remedy-truth`` measures them."""
