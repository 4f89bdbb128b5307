"""What happened to the local files that the user's code loads, when the target loaded them."""

from vc2doctor.core.data import Data
from vc2doctor.core.failure import Failure
from vc2doctor.probe.gradient_range import Count


class FileTrial(Data):
    """A local file that the target cannot load, or does not load completely."""

    kind: str
    path: str
    error: Failure | None = None
    """``None``: it was loaded, without ``ignored``."""
    ignored: tuple[str, ...] = ()
    """Keys of the file that the loaded object does not have, or has with another value."""


class FilesRun(Data):
    """The local files that the user's code loads, loaded one by one."""

    tried: tuple[tuple[str, str], ...] = ()
    """Kind and path of those that were tried."""
    left_out: Count = 0
    """Files for which no time was left, and those whose package is not installed."""
    failed: tuple[FileTrial, ...] = ()
