"""What the documents say of the code is what the code says."""

from __future__ import annotations

import pytest

from tests.pages import blocks


@pytest.mark.parametrize("document", blocks.BLOCKS)
def test_document_is_current(document: str) -> None:
    current = (blocks.ROOT / document).read_text(encoding="utf-8") == blocks.made(document)
    # A plain message: the difference of two long documents helps no reader.
    assert current, f"{document} is not current; write it: nox -s pages"
