"""Why a matrix cannot be used."""

from pydantic import ValidationError

from vc2doctor.core.errors import DoctorError


class MatrixError(DoctorError):
    """A file of the matrix cannot be used."""


class StaleVerdictsError(MatrixError):
    """The sources of a matrix have changed since its verdicts were compiled."""


def reason_of(error: Exception) -> str:
    """Return in one line why a file of the matrix cannot be read; of the faults of its content, the first."""
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in fault["loc"])
    return f"{key}: {fault['msg']}" if key else fault["msg"]
