"""Tests of vc2doctor.probe."""
