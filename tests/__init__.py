"""Tests of vc2doctor."""
