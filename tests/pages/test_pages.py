"""What the documents say of the code is what the code says."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.pages import blocks


@pytest.mark.parametrize("document", blocks.DOCUMENTS)
def test_document_is_current(document: str) -> None:
    current = (blocks.ROOT / document).read_text(encoding="utf-8") == blocks.made(document)
    # A plain message: the difference of two long documents helps no reader.
    assert current, f"{document} is not current; write it: nox -s pages"


def test_man_page_has_every_verb_and_no_fault_of_roff() -> None:
    man = shutil.which("man")
    if man is None:
        pytest.skip("man is not installed")
    page = str(blocks.ROOT / "docs" / "vc2doctor.1")
    ran = subprocess.run(
        [man, "--warnings=all", "-E", "ascii", "-l", page],
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "MANROFFOPT": "", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    for text in ("vc2doctor gate [OPTIONS] -- COMMAND", "vc2doctor matrix explain", "--refuse-exit N", "EXIT STATUS"):
        assert text in ran.stdout
