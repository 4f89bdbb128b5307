"""Reads code, configurations and launch scripts into facts, one module a file format. Nothing here judges."""
