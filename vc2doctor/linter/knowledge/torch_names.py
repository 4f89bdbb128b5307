"""Names of torch that went, and a default that changed, with the release in which they did.

Read in the wheels: ``torch/_six.py`` is in that of 1.13.1 and not in that of 2.0.0; ``torch/_linalg_utils.py`` of 2.0.0
has functions that only raise "is now removed"; the schedulers of 2.6.0 take ``verbose`` and those of 2.7.0 do not;
``torch/serialization.py`` of 2.5.1 and 2.6.0 differs in ``weights_only``. ``torch.stft`` of 2.13.0 raises RuntimeError
for a real input without ``return_complex``; 1.13 only warned, and 2.0 is the release that began to raise.
"""

import re
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


class RefusedCall(NamedTuple):
    """A call that torch refuses."""

    name: re.Pattern[str]
    """Full names of the callees."""
    word: str
    """A text that every file with such a call has."""
    keyword: str
    is_required: bool
    """Whether the keyword has to be given; else it must not be given."""
    release: str
    """The first release that refuses it."""
    instead: str
    """What to do, as the beginning of a sentence."""
    max_positional: int = 9
    """Arguments by position that do not reach the keyword."""


REFUSED_CALLS = (
    RefusedCall(
        re.compile(r"torch\.stft"),
        "stft",
        "return_complex",
        is_required=True,
        release="2.0.0",
        instead="Pass return_complex=True and take torch.view_as_real of the result",
    ),
    RefusedCall(
        re.compile(r"torch\.optim\.lr_scheduler\.[A-Z]\w+"),
        "verbose",
        "verbose",
        is_required=False,
        release="2.7.0",
        instead="Leave verbose out and print get_last_lr()",
    ),
)
SAFE_LOAD = "2.6.0"
"""The first release whose ``torch.load`` has ``weights_only=True`` as its default:
https://docs.pytorch.org/docs/stable/generated/torch.load.html"""
NEWEST = "2.15.0"
"""The newest release when this was read; what no requirement forbids allows it."""
