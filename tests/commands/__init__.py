"""Tests of ``vc2doctor.commands``."""
