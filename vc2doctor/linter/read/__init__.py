"""Reads files into facts, without judging: code, configurations, launch scripts, one file a format."""
