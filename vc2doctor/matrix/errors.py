"""Why a matrix cannot be used."""

from vc2doctor.core.errors import DoctorError


class MatrixError(DoctorError):
    """A file of the matrix cannot be used."""


class StaleVerdictsError(MatrixError):
    """The sources of a matrix have changed since its verdicts were compiled."""
