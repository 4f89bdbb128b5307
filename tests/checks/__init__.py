"""Tests of vc2doctor.checks."""
