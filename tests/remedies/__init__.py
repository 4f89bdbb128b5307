"""Tests of ``vc2doctor.remedies``."""
