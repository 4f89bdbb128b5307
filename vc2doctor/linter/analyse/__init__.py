"""Derives facts across files: what names mean, which values are possible, which code trains, and in which precision."""
