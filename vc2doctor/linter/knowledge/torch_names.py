"""Names of torch that went, and a default that changed, with the release in which they did.

Read in the wheels: ``torch/_six.py`` is in that of 1.13.1 and not in that of 2.0.0; ``torch/_linalg_utils.py`` of 2.0.0
has functions that only raise "is now removed"; ``torch/serialization.py`` of 2.5.1 and 2.6.0 differs in
``weights_only``.
"""

from typing import NamedTuple


class GoneName(NamedTuple):
    """A name that torch no longer has."""

    release: str
    """The first release without it."""
    instead: str


GONE: dict[str, GoneName] = {
    "torch._six": GoneName("2.0.0", "math.inf, str and collections.abc"),
    "torch.lstsq": GoneName("2.0.0", "torch.linalg.lstsq"),
    "torch.eig": GoneName("2.0.0", "torch.linalg.eig"),
    "torch.symeig": GoneName("2.0.0", "torch.linalg.eigh"),
    "torch.solve": GoneName("2.0.0", "torch.linalg.solve"),
    "torch.matrix_rank": GoneName("2.0.0", "torch.linalg.matrix_rank"),
}
SAFE_LOAD = "2.6.0"
"""The first release whose ``torch.load`` has ``weights_only=True`` as its default:
https://docs.pytorch.org/docs/stable/generated/torch.load.html"""
NEWEST = "2.15.0"
"""The newest release when this was read; what no requirement forbids allows it."""
