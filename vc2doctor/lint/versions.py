"""Comparing the versions that a project pins, or runs with: what is no version decides nothing."""

from packaging.version import InvalidVersion, Version


def older(version: str | None, than: str) -> bool:
    """Say whether a version is known, and older than another."""
    try:
        return version is not None and Version(version) < Version(than)
    except InvalidVersion:
        return False
