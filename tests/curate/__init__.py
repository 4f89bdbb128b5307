"""Tests of ``vc2doctor.curate``."""
