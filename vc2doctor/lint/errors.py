"""What can go wrong with what the user gave to ``lint``."""

from vc2doctor.errors import DoctorError


class LintError(DoctorError):
    """A path, a rule id or a setting of the linter cannot be used."""


class FixError(DoctorError):
    """A change cannot be made; nothing was written."""
