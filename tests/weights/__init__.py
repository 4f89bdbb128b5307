"""The probe on real weights; ``nox -s real-weights`` makes the environment."""
