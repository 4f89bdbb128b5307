"""The root of the doctor's own exceptions. Every subclass is defined beside the code that raises it."""


class DoctorError(Exception):
    """The user's input cannot be used. The message says what, where, and what to do."""

    exit_code = 2
    """Of the command: wrong usage. A subclass has 3 if the input may be right, and the work could not be finished."""
