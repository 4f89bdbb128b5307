"""The root of the doctor's own exceptions. Every subclass is defined beside the code that raises it."""


class DoctorError(Exception):
    """The user's input cannot be used. The message says what, where, and what to do; the exit code is 2."""
