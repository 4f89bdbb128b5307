"""Names that a release lacks are reported at their import and where the module calls them."""

from __future__ import annotations

from pathlib import Path

from vc2doctor.linter.run import LintTask, apply_rules
from vc2doctor.linter.settings import LintSettings

_TRAIN = """\
from transformers import AutoModelForVision2Seq as Model

model = Model.from_pretrained("name")
reference = Model.from_pretrained("name")
"""


def test_missing_name_is_reported_with_the_calls_that_need_it(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(_TRAIN)
    (tmp_path / "requirements.txt").write_text("transformers==5.15.0\n")
    task = LintTask(paths=(tmp_path,), settings=LintSettings(select=("VC117",)))
    (finding,) = apply_rules(task).findings
    assert [place.line for place in finding.places] == [1, 3, 4]
