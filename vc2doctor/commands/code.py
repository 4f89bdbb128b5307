"""What ``vc2doctor check --code`` uses of the linter: one finding per diagnosis, and the precision of the code."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vc2doctor.checks.plan import CodeImport
from vc2doctor.commands import settings
from vc2doctor.commands.command_line import COMMAND_NAME
from vc2doctor.commands.report import CodeFile, CodeModel, CodeReading
from vc2doctor.commands.settings import SettingsSource
from vc2doctor.core.invocation import BF16_PATCH, Invocation
from vc2doctor.findings import Finding, Severity
from vc2doctor.linter.analyse.code_use import use_of
from vc2doctor.linter.analyse.doors import doors_of
from vc2doctor.linter.analyse.loaded_files import loaded_files
from vc2doctor.linter.analyse.named_models import named_models
from vc2doctor.linter.analyse.quantized import formats_of
from vc2doctor.linter.analyse.recipe import recipes_of, recipes_of_launches, riskiest_recipe
from vc2doctor.linter.analyse.trained_kind import learning_rate_of
from vc2doctor.linter.analyse.tried_imports import imported_names, imports_of_programs
from vc2doctor.linter.model import CodeFinding, Diagnosis, undiagnosed
from vc2doctor.linter.read.config import Launch
from vc2doctor.linter.read.user_config import default_path
from vc2doctor.linter.run import LintResult, LintTask, apply_rules
from vc2doctor.linter.scope import imports_by_unknown_names

_ADAPTERS = re.compile(rb"(?!peft_config *= *None\b)peft|lora|adapter", re.IGNORECASE)
"""Words of code and configurations that train adapters. ``peft_config=None`` asks a trainer of trl for none."""


def read(
    code: Path,
    installed: Mapping[str, str],
    source: SettingsSource,
    invocation: Invocation,
    launches: tuple[Launch, ...] | None = None,
) -> CodeReading:
    """Lint ``code`` for an environment with the ``installed`` versions; notes are left out.

    ``invocation`` says how the doctor was started, for the commands of the findings. With ``launches``, only what these
    commands start is judged.

    Raises:
        LintError: there is no such path.
        SettingsError: the settings of the code's project cannot be used.
    """
    loaded = settings.load(code if code.is_dir() else code.parent, source, is_gate=True)
    user_config = any(each.launcher == "accelerate" for each in launches or ()) and default_path(os.environ).is_file()
    task = LintTask(
        paths=(code,), settings=loaded.lint, installed=installed, launches=launches, user_config=user_config
    )
    result = apply_rules(task)
    use = use_of(result.facts)
    recipes = recipes_of(result.facts) or (recipes_of_launches(result.facts) if launches is not None else {})
    return CodeReading(
        path=str(code),
        findings=tuple(_findings(result, code, invocation)),
        recipes=recipes,
        precision=riskiest_recipe(recipes),
        learning_rate=learning_rate_of(result.facts),
        doors=doors_of(result.facts, use),
        use=use._asdict(),
        formats=formats_of(result.facts),
        silenced=result.silenced + result.switched_off,
        unread=tuple(_unread(result, scoped=launches is not None)),
        settings=loaded.applied,
        root=result.facts.code.files.root,
        imports=tuple(_imports(result)),
        imported=imported_names(result.facts),
        loads=tuple(CodeFile(**file._asdict()) for file in loaded_files(result.facts)),
        mentions_adapters=_mentions_adapters(result),
        models=tuple(CodeModel(**model._asdict()) for model in named_models(result.facts)),
    )


def _mentions_adapters(result: LintResult) -> bool:
    """Return whether code, data or requirements speak of peft or LoRA, also in a name such as ``use_peft``."""
    files = result.facts.code.files
    if files.unread_files or any("peft" in required for required in files.requirements.values()):
        return True
    texts = (module.source.text.encode("utf-8", "replace") for module in files.modules.values())
    keys = (entry.key.encode("utf-8", "replace") for config in files.configs for entry in config.entries)
    flags = (flag.encode("utf-8", "replace") for launch in files.launches for flag in launch.flags)
    return any(_ADAPTERS.search(text) for text in (*texts, *files.texts.values(), *keys, *flags))


def _unread(result: LintResult, *, scoped: bool) -> Iterator[str]:
    for place in result.coverage.not_understood:
        line = f":{place.line}" if place.line is not None else ""
        yield f"{place.path}{line}: {place.message}"
    dynamic = imports_by_unknown_names(result.facts.code.files) if scoped else None
    if dynamic is not None:
        yield f"{dynamic} imports modules by names that only a run knows."


def _imports(result: LintResult) -> Iterator[CodeImport]:
    prefix = _prefix(result)
    for each in imports_of_programs(result.facts):
        yield CodeImport(module=each.module, name=each.name, path=f"{prefix}{each.path}", line=each.line)


def _prefix(result: LintResult) -> str:
    """Return what leads from the working directory to the linter's paths, which are relative to the project."""
    root = os.path.relpath(result.facts.code.files.root)
    return "" if root == "." else f"{root}/"


def _findings(result: LintResult, code: Path, invocation: Invocation) -> Iterator[Finding]:
    prefix = _prefix(result)
    fix = invocation.other("lint", *BF16_PATCH, arguments=(str(code),))
    for diagnosis in result.diagnoses:
        if diagnosis.severity is not Severity.NOTE:
            yield _finding_of_diagnosis(diagnosis, prefix, fix)
    for finding in undiagnosed(result.findings, result.diagnoses):
        if finding.severity is not Severity.NOTE:
            yield _with_prefix(finding, prefix)


def _with_prefix(finding: CodeFinding, prefix: str) -> Finding:
    if finding.path == COMMAND_NAME:
        # A command line is no file that an editor could open.
        evidence = ("in the command that you gave", *finding.evidence)
        finding = finding.model_copy(update={"path": None, "line": None, "evidence": evidence})
    other_places = tuple(f"also at {prefix}{place.location}" for place in finding.also)
    return Finding(
        id=finding.id,
        severity=finding.severity,
        message=finding.message,
        evidence=(*finding.evidence, *other_places),
        remedy=finding.remedy,
        url=finding.url,
        path=f"{prefix}{finding.path}" if finding.path is not None else None,
        line=finding.line,
        wanted=finding.wanted,
    )


def _finding_of_diagnosis(diagnosis: Diagnosis, prefix: str, fix: str) -> Finding:
    first = diagnosis.places[0]
    return Finding(
        id=first.id,
        severity=diagnosis.severity,
        message=diagnosis.title,
        evidence=tuple(
            f"{prefix}{place.location} ({finding.role}, {finding.id}): {finding.message}"
            for finding in diagnosis.places
            for place in finding.places
        ),
        remedy="Change all these places together. A change of only some of them leaves float16 elsewhere.",
        commands=(fix,),
        url=first.url,
        path=f"{prefix}{first.path}" if first.path != COMMAND_NAME else None,
        line=first.line if first.path != COMMAND_NAME else None,
    )
