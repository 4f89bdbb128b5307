"""Shared foundations: base data class, errors, versions, precision, child processes and file writing."""
