"""The version of the event format, and of the worker's measurements."""

PROTOCOL = 6
"""Version of the event format; vc2doctor refuses to read another one."""


WORKER_VERSION = "5"
"""Version of the measurements, written into every evidence line. Raise it when a change can alter a measurement."""
