"""Shared foundations: data, errors, versions, child processes, reading, parsing, patterns, printing, redaction, writing."""
