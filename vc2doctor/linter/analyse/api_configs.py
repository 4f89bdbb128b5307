"""Keys of YAML and JSON files that a program's parser turns into keywords of a package's data class."""

from collections.abc import Iterator, Mapping

from vc2doctor.linter.analyse.api_launches import parsed_classes, program_of
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.analyse.paths import file_of_launch
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.analyse.started import is_started
from vc2doctor.linter.knowledge.api_table import ApiTable
from vc2doctor.linter.read import launchers
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers.transformers_arguments import is_of_trainer
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.run_settings import keys_of_config

_READS_FILES = ("parse_yaml_file", "parse_json_file", "parse_yaml_and_args", "parse_args_and_config", "TrlParser")
"""Texts of programs whose parser reads files; it refuses a key that no data class has."""
_TAKES_OTHERS = ("allow_extra_keys=True", "fail_with_unknown_args=False", "return_remaining_strings=True")
"""Texts of programs whose parser leaves unknown keys alone."""


def config_uses(code: CodeFacts, table: ApiTable) -> Iterator[Use]:
    """Yield the keys of files that some release of a package's data class lacks.

    A file that a command names is judged by its program. One that no command names is judged if all programs beside it
    that read such files agree: it is an offer to their users.
    """
    known = {config.name: config for config in code.files.configs if config.kind in ("yaml", "json")}
    seen: set[tuple[str, str]] = set()
    named: set[str] = set()
    for launch in code.files.launches:
        names = list(_files_of(launch, known))
        named.update(names)
        module = program_of(code, launch) if names else None
        if module is None or not _reads_files(code, module):
            continue
        for name in names:
            for use in _of_config(code, table, module, known[name]):
                if (name, use.label) not in seen:
                    seen.add((name, use.label))
                    yield use
    for config in known.values():
        if config.name not in named and is_of_trainer(keys_of_config(config)):
            yield from _of_offered(code, table, config)


def _of_offered(code: CodeFacts, table: ApiTable, config: Config) -> Iterator[Use]:
    """Yield the keys of a file that every program beside it refuses with the same releases."""
    settings, folder = launchers.of_config(config), code.folder_of(config.name)
    if settings is None or settings.launcher != "transformers":
        return
    programs = [
        module
        for module in code.files.modules.values()
        if code.folder_of(module.name) == folder and is_started(module) and _reads_files(code, module)
    ]
    by_program = [{use.line: use for use in _of_config(code, table, module, config)} for module in programs]
    for line, use in by_program[0].items() if by_program else ():
        if all(line in uses and uses[line].existence == use.existence for uses in by_program):
            yield use._replace(is_conditional=True)


def _files_of(launch: Launch, known: Mapping[str, Config]) -> Iterator[str]:
    """Yield the files of the trainer's arguments that a command gives to its program."""
    own = (flag.value for name, flag in launch.flags.items() if name in ("--config", "--config_file", "--cfg"))
    of_launcher = {flag.value for flag in launch.launcher_flags.values()}
    for path in (*launch.config_paths, *own):
        name = file_of_launch(launch, path, known) if path and path not in of_launcher else None
        if name is not None and is_of_trainer(keys_of_config(known[name])):
            yield name


def _reads_files(code: CodeFacts, module: Module) -> bool:
    """Return whether a program's parser reads files, and refuses keys that it does not know."""
    texts = [each.source.text for each in code.import_closure(module)]
    is_strict = not any(mark in text.replace(" ", "") for text in texts for mark in _TAKES_OTHERS)
    has_parser = any(True for _ in parsed_classes(code, module))
    return is_strict and has_parser and any(mark in text for text in texts for mark in _READS_FILES)


def _of_config(code: CodeFacts, table: ApiTable, module: Module, config: Config) -> Iterator[Use]:
    classes = list(parsed_classes(code, module))
    own = frozenset(name for _, names in classes for name in names)
    bases = list(dict.fromkeys(base for base, _ in classes if base))
    for entry in config.entries:
        taking = {base: each for base in bases if (each := table.keyword(base, entry.key)) is not None}
        existence = next(iter(taking.values()), None)
        if existence is None or len(set(taking.values())) > 1 or entry.key in own:
            continue
        if existence.bits != table.packages[existence.package].everything:
            base = next(iter(taking))
            new = table.new_name(base, entry.key)
            label, hint = f"{base.rpartition('.')[2]}({entry.key}=)", f"{new}:" if new else ""
            place = (config.name, None, None, entry.line)
            yield Use("argument", label, existence, *place, is_conditional=False, hint=hint)
