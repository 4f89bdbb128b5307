"""The version of the event format, and of the worker's measurements."""

PROTOCOL = 3
"""Version of the event format; the doctor refuses to read another one."""


WORKER_VERSION = "3"
"""Raised whenever a measurement could come out differently; written into every evidence line."""
