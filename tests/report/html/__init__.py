"""Tests of ``vc2doctor.report.html``."""
