"""Tests of vc2doctor.prescribe."""
