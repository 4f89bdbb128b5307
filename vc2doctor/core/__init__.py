"""Shared foundations: data, errors, versions, child processes, and how text is read, parsed, printed and written."""
