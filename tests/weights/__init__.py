"""The probe on real weights; ``nox -s real-weights`` builds the environment."""
