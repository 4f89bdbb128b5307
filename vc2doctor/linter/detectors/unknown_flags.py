"""Flags of commands that the program's parser does not take: the program ends before the first step."""

import re
from collections.abc import Iterator

from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.api_launches import program_of
from vc2doctor.linter.analyse.api_names import whole_code
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.parsed_flags import KnownFlags, known_flags
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.detectors.misspelled_flags import is_misspelled
from vc2doctor.linter.knowledge.api_table import load_table
from vc2doctor.linter.model import CodeFinding, CodePlace
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.module import Module

_TRAINS = re.compile(r"\.backward\(|Trainer\b|\.fit\(")
_FLAG = re.compile(r"--[A-Za-z]\w*")
_URL = "https://docs.python.org/3/library/argparse.html#argparse.ArgumentParser.parse_known_args"
MAX_NAMED = 4
"""Flags that the message names; the places are all of them."""


def unknown_flags(facts: Facts) -> Iterator[CodeFinding]:
    """Yield the commands of scripts with flags that the program refuses, one finding each."""
    table = load_table()
    if table is None or not any(not launch.is_documented for launch in facts.code.files.launches):
        return
    code = whole_code(facts)
    known: dict[str, KnownFlags | None] = {}
    seen: set[tuple[str, int]] = set()
    for launch in code.files.launches:
        module = None if launch.is_documented else program_of(code, launch)
        if module is None or is_inference_path(module.name) or not _is_certain(launch, module):
            continue
        if module.name not in known:
            known[module.name] = known_flags(code, module, table) if _trains(code, module) else None
        flags = known[module.name]
        finding = _finding(launch, flags, module) if flags is not None else None
        if finding is not None and (finding.path or "", finding.line or 0) not in seen:
            seen.add((finding.path or "", finding.line or 0))
            yield finding


def _is_certain(launch: Launch, module: Module) -> bool:
    """Return whether the command starts this module: not one of the same name in a folder that it changes to."""
    return launch.folder is None or ("/" in launch.program and module.name.endswith(launch.program.lstrip("./")))


def _trains(code: CodeFacts, module: Module) -> bool:
    return any(_TRAINS.search(each.source.text) for each in code.import_closure(module))


def _finding(launch: Launch, known: KnownFlags, module: Module) -> CodeFinding | None:
    refused = [
        name
        for name, flag in launch.flags.items()
        if _FLAG.fullmatch(name)
        and launch.launcher_flags.get(name) != flag
        and not known.takes(name.lstrip("-"))
        and not is_misspelled(launch, name)
    ]
    if not refused:
        return None
    lines = {name: launch.flags_written_at.get(name, launch.flags[name].line) for name in refused}
    # A flag that a variable brings may be in a branch of the script.
    is_on_command = any(lines[name] >= launch.line for name in refused)
    (first, *others) = sorted(set(lines.values()))
    named = enumerated(refused[:MAX_NAMED]) + (" and others" if len(refused) > MAX_NAMED else "")
    return build.at_line(
        launch.script,
        first,
        "VC106",
        Severity.ERROR if is_on_command else Severity.WARNING,
        f"{module.name} does not take {named}: {known.name} refuses the command before training",
        evidence=(f"all flags of {known.name} in {module.name} were read, and nothing allows others",),
        remedy="Take the flags away, or add them to the program.",
        url=_URL,
        role="launch",
        also=tuple(CodePlace(path=launch.script, line=line, end_line=line) for line in others),
    )
