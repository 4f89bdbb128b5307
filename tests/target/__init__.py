"""Tests of ``vc2doctor.target``, run in real target interpreters."""
