"""AB. Policies and baselines that are damaged, odd or hostile, and what writing a baseline must not replace."""

from __future__ import annotations

import codecs
import json
import os
from typing import TYPE_CHECKING

from tests.faults.model import Command, row, rows
from tests.faults.scene import HALF_LOOP

if TYPE_CHECKING:
    from tests.faults.scene import Scene

_ENTRY = 'severity = "off", expires = 2099-01-01'
_POLICIES: dict[str, str | bytes] = {
    "a_key_that_is_no_id": f'vc7 = {{ {_ENTRY}, reason = "x" }}',
    "a_rule_that_does_not_exist": f'VC999 = {{ {_ENTRY}, reason = "x" }}',
    "an_entry_on_expired_entries": f'VC029 = {{ {_ENTRY}, reason = "x" }}',
    "a_text_in_the_place_of_an_entry": 'VC101 = "off"',
    "no_reason": f"VC101 = {{ {_ENTRY} }}",
    "a_reason_of_spaces": f'VC101 = {{ {_ENTRY}, reason = " \\t " }}',
    "a_reason_of_900_000_characters": f'VC101 = {{ {_ENTRY}, reason = "{"x" * 900_000}" }}',
    "no_last_day": 'VC101 = { severity = "off", reason = "x" }',
    "a_number_as_the_last_day": 'VC101 = { severity = "off", reason = "x", expires = 253402214400 }',
    "a_moment_as_the_last_day": 'VC101 = { severity = "off", reason = "x", expires = 2099-01-01T00:00:00Z }',
    "a_day_that_does_not_exist": 'VC101 = { severity = "off", reason = "x", expires = "2099-02-30" }',
    "an_unknown_severity": 'VC101 = { severity = "fatal", reason = "x" }',
}


@rows("AB", _POLICIES, 2, says="s.toml: [tool.vc2doctor] policy", suite=("a_number_as_the_last_day",))
def policy_with(scene: Scene, text: str) -> Command:
    """A policy that the user passes has something wrong."""
    scene.file("train.py", HALF_LOOP)
    scene.file("s.toml", f"[tool.vc2doctor.policy]\n{text}\n")
    return Command(("lint", "--config", "s.toml", "."))


@row("AB", 0, 1, says="[/x] owned", says_not=("\x1b", "\x07", "\u202e"))
def reason_with_escapes_and_markup(scene: Scene) -> Command:
    """The reason of an entry holds escape sequences and markup: it is shown as text."""
    scene.file("train.py", HALF_LOOP)
    reason = '"[/x] owned \\u001b]0;owned\\u0007 \\u202egnp"'
    scene.file("s.toml", f"[tool.vc2doctor.policy]\nVC101 = {{ {_ENTRY}, reason = {reason} }}\n")
    return Command(("lint", "--config", "s.toml", "."))


@row("AB", 1, says=("policy.VC101", "ignored"))
def checkout_that_silences_its_own_findings(scene: Scene) -> Command:
    """A policy that was found, and not passed by the user, silences what the code breaks: it does not count."""
    scene.file("train.py", HALF_LOOP)
    entries = "".join(f'VC{number} = {{ {_ENTRY}, reason = "x" }}\n' for number in (101, 102, 104, 105, 109))
    scene.file("pyproject.toml", f"[tool.vc2doctor.policy]\n{entries}")
    return Command(("lint", "."))


_BASELINES: dict[str, str | bytes] = {
    "cut_off": b'{"schema_version": 1, "findings": [{"fing',
    "in_conflict": b'<<<<<<< HEAD\n{"schema_version": 1}\n=======\n{}\n>>>>>>> x\n',
    "nested_deeply": b"[" * 200_000,
    "with_a_number_of_many_digits": b'{"schema_version": ' + b"9" * 100_000 + b"}",
    "of_17_megabytes": b" " * 17_000_000,
    "of_another_version": b'{"schema_version": 7, "findings": []}',
    "that_is_no_text": b"\xff\xfe\x00\x01" * 100,
    "with_half_a_character": b'{"findings": [{"fingerprint": "\\ud800", "id": "VC101", "message": "x"}]}',
}


@rows("AB", _BASELINES, 2, says="known.json", says_not="Baseline ")
def baseline(scene: Scene, content: str | bytes) -> Command:
    """A baseline is damaged or odd."""
    scene.file("train.py", HALF_LOOP)
    scene.file("known.json", content)
    return Command(("lint", "--baseline", "known.json", "."))


@row("AB", 2, says="known.json: cannot be read: it is a device")
def baseline_without_an_end(scene: Scene) -> Command:
    """The baseline is a link to an endless device."""
    scene.file("train.py", HALF_LOOP)
    scene.link("known.json", "/dev/zero")
    return Command(("lint", "--baseline", "known.json", "."))


@row("AB", 2, says="known.json: cannot be read: it is a pipe")
def baseline_that_blocks(scene: Scene) -> Command:
    """The baseline is a pipe that no program writes to."""
    scene.file("train.py", HALF_LOOP)
    scene.fifo("known.json")
    return Command(("lint", "--baseline", "known.json", "."))


@row("AB", 1, says="train.py")
def baseline_with_a_byte_order_mark(scene: Scene) -> Command:
    """The baseline is empty and begins with a byte order mark, as editors on Windows write it."""
    scene.file("train.py", HALF_LOOP)
    scene.file("known.json", codecs.BOM_UTF8 + json.dumps({"schema_version": 1, "findings": []}).encode())
    return Command(("lint", "--baseline", "known.json", "."))


_UPDATE = ("lint", "--update-baseline", "--baseline")


@row("AB", 2, says=("train.py: the file does not hold a baseline", "not overwritten"), in_suite=True)
def update_over_the_code(scene: Scene) -> Command:
    """The new baseline is written to the training code itself: it is refused, and the code stays."""
    scene.file("train.py", HALF_LOOP)
    return Command((*_UPDATE, "train.py", "train.py"))


@row("AB", 2, says="not overwritten")
def update_over_a_link_to_the_code(scene: Scene) -> Command:
    """The new baseline is written to a link of the checkout that leads to a file of the user's home."""
    scene.file("train.py", HALF_LOOP)
    (scene.home / "notes.txt").write_text("mine\n", encoding="utf-8")
    scene.link("known.json", os.path.relpath(scene.home / "notes.txt", scene.tree))
    return Command((*_UPDATE, "known.json", "."))


@row("AB", 2, says="named twice")
def update_and_report_in_one_file(scene: Scene) -> Command:
    """The new baseline and the report would be written to one file, which is named in two ways."""
    scene.file("train.py", HALF_LOOP)
    return Command((*_UPDATE, "known.json", "--output", "json:./known.json", "."))


@row("AB", 2, says="named twice")
def two_reports_in_one_file(scene: Scene) -> Command:
    """Two reports would be written to one file, once by a link to it."""
    scene.file("train.py", HALF_LOOP)
    scene.file("a.json")
    scene.link("b.json", "a.json")
    return Command(("lint", "--output", "a.json", "--output", "b.json", "."))


@row("AB", 2, says="known.json: cannot be written")
def update_on_a_full_disk(scene: Scene) -> Command:
    """The new baseline does not fit: the old one stays as it was."""
    for name in "abcdefgh":
        scene.file(f"{name}.py", HALF_LOOP)
    scene.file("known.json", '{"schema_version": 1, "findings": []}')
    # In units of 1,024 bytes: the message fits.
    return Command((*_UPDATE, "known.json", "."), script='ulimit -f 1; exec "$@"')
