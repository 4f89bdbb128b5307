"""Tests of the reader of wheels."""
