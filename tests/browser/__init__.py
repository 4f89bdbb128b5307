"""The HTML pages in a real Chromium: ``nox -s browser``."""
