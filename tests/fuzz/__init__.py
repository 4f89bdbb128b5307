"""The parsers under mutated input: ``nox -s fuzz`` searches, and ``test_cases.py`` runs again what was found."""
