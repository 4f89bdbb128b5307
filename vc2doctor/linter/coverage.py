"""Says what of a project was read and what was not understood, so that a report without findings is no all-clear."""

from collections.abc import Iterator

from vc2doctor.linter import build
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.stage import Stage, is_inference_path
from vc2doctor.linter.analyse.started import is_started
from vc2doctor.linter.model import Coverage, FileCounts, LeftOutFiles, NotUnderstood, Program
from vc2doctor.linter.read.config import UNKNOWN, Config
from vc2doctor.linter.read.module import Module

_PLAIN_KINDS = ("python", "yaml", "json")
"""Formats of configurations that anything can read. A configuration of any other kind is that of a launcher."""


def coverage_of(facts: Facts, rules: frozenset[str]) -> Coverage:
    """Return what was read of a project by the rules with these ids."""
    files = facts.code.files
    programs = tuple(_programs(facts))
    not_understood = (*_unread(facts), *_dtypes(facts), *_launchers(facts), *_unstarted(facts, programs))
    return Coverage(
        files=FileCounts(
            python=files.kinds.get("python", 0),
            notebooks=files.kinds.get("notebook", 0),
            configurations=files.kinds.get("configuration", 0),
            scripts=files.kinds.get("script", 0),
            documents=files.kinds.get("document", 0),
        ),
        rules=tuple(sorted(rules)),
        programs=programs,
        left_out=tuple(LeftOutFiles(path=each.name, reason=each.reason, files=each.files) for each in files.left_out),
        not_understood=not_understood,
        not_judged=tuple(_not_judged(facts, rules, programs)),
    )


def _programs(facts: Facts) -> Iterator[Program]:
    """Yield what starts training: modules that are run and lead to training code, launches, launchers' files."""
    for module in facts.code.files.modules.values():
        if is_started(module) and not is_inference_path(module.name) and _leads_to_training(facts, module):
            yield Program(kind="module", path=module.name)
    for launch in facts.code.files.launches:
        if not is_inference_path(launch.script) and not is_inference_path(launch.program):
            yield Program(kind="launch", path=launch.script, line=launch.line)
    for config in facts.code.files.configs:
        if _is_of_launcher(config) and not is_inference_path(config.name):
            yield Program(kind="configuration", path=config.name)


def _leads_to_training(facts: Facts, module: Module) -> bool:
    return any(facts.stages.module_trains(imported) for imported in facts.code.import_closure(module))


def _is_of_launcher(config: Config) -> bool:
    return config.kind not in _PLAIN_KINDS


def _training_modules(facts: Facts) -> list[Module]:
    return [
        module
        for module in facts.code.files.modules.values()
        if not is_inference_path(module.name) and facts.stages.module_trains(module)
    ]


def _not_judged(facts: Facts, rules: frozenset[str], programs: tuple[Program, ...]) -> Iterator[str]:
    """Yield the reasons why a report without findings says nothing about the code."""
    if not rules:
        yield "No rule ran, because the options and the settings leave none."
    if not programs and not _training_modules(facts):
        yield "Nothing in these files trains a model, as far as they can be read."


def _unread(facts: Facts) -> Iterator[NotUnderstood]:
    files = facts.code.files
    for file in files.unread_files:
        message = f"The file could not be read: {file.reason}."
        yield NotUnderstood(kind="file", path=file.name, line=file.line, message=message)
    for name in files.unknown_files:
        yield NotUnderstood(kind="file", path=name, message="No rule reads files of this kind.")


def _dtypes(facts: Facts) -> Iterator[NotUnderstood]:
    """Yield the regions and loads of training code whose dtype only a run can tell."""
    for region in facts.autocast.regions:
        if region.stage is Stage.TRAINS and UNKNOWN in region.dtypes and not region.autocast.is_disabled:
            place = build.place_of(region.place.module, region.call.node)
            message = f"Only a run can tell the dtype of {build.code(region.call.node)}."
            yield NotUnderstood(kind="dtype", path=place.path, line=place.line, message=message)
    for load in facts.weights.loads:
        if load.stage is Stage.TRAINS and UNKNOWN in load.dtypes and not load.is_inert:
            place = build.place_of(load.place.module, load.node)
            message = f"Only a run can tell the dtype {build.code(load.dtype_expression)} of these weights."
            yield NotUnderstood(kind="dtype", path=place.path, line=place.line, message=message)


def _launchers(facts: Facts) -> Iterator[NotUnderstood]:
    """Yield the scripts that seem to start training in a way that is not known, and programs that are not there."""
    for script, line in facts.code.files.unknown_launches:
        message = "The script seems to start training, but its launcher is not known."
        yield NotUnderstood(kind="launcher", path=script, line=line, message=message)


def _unstarted(facts: Facts, programs: tuple[Program, ...]) -> Iterator[NotUnderstood]:
    """Yield the training code of a project in which nothing starts it: its settings come from elsewhere."""
    if not programs:
        for module in _training_modules(facts):
            message = "The module trains, but no program or launch script that starts it was found."
            yield NotUnderstood(kind="program", path=module.name, message=message)
