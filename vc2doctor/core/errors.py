"""The root of the doctor's own errors. Each role has its class beside its code; all of them mean exit code 2."""


class DoctorError(Exception):
    """Something the user gave cannot be used; the message says what, where, and what to do."""
