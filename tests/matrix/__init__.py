"""Tests of vc2doctor.matrix."""
