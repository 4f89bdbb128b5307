"""How long each phase may take by default, in seconds; ``--timeout`` replaces all of them.

Nothing is imported here, because ``--help`` names these limits and must be quick.
"""

DESCRIPTION_SECONDS = 60.0
"""Reading the metadata of some hundred packages on a slow network disk."""
PROBE_SECONDS = 300.0
"""The probe; on two cores it needs about 10 s."""
BUILD_SECONDS = 1800.0
"""Building the environment of ``--verify-remedy``: torch with CUDA is a download of several gigabytes."""
PIPE_SECONDS = 60.0
"""A pipe that the user passes in the place of a file, until its end."""
