"""The section on quantized and FP8 formats."""

from __future__ import annotations

from vc2doctor.matrix.quantization import readiness
from vc2doctor.report.terminal import quantized
from vc2doctor.report.terminal.lines import plain

ENTRIES = readiness({"torchao": "0.18.0", "bitsandbytes": "0.50.2"}, (), frozenset({"torchao-float8-training"}))


def test_one_line_says_what_trains_and_what_cannot_be_judged() -> None:
    (line,) = map(plain, quantized.render(ENTRIES, verbose=False))
    label, text = line.split(maxsplit=1)
    assert label == "Quantized"
    assert text == (
        "adapters can be trained on 3 quantized formats of bitsandbytes 0.50.2, torchao 0.18.0, whose own weights stay"
        " frozen; 3 quantized formats of torchao 0.18.0 cannot be trained, because there is no backward pass; 2"
        " quantized formats of torchao 0.18.0 cannot be judged without a GPU; see -v"
    )


def test_the_full_report_gives_reason_and_source_of_each() -> None:
    lines = list(map(plain, quantized.render(ENTRIES, verbose=True)))
    assert len(lines) == 1 + len(ENTRIES)
    assert any("torchao FP8 training: cannot be judged here, used here: it needs a GPU of" in line for line in lines)
    assert all("https://" in line for line in lines[1:])


def test_without_such_a_package_there_is_no_section() -> None:
    assert list(quantized.render((), verbose=False)) == []
