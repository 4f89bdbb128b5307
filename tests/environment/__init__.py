"""Tests of ``vc2doctor.environment``."""
