"""Planted faults and their clean twins, listed in table.py; ``nox -s probe-truth`` runs them."""
