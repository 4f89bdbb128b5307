"""Tests of ``vc2doctor.core``."""
