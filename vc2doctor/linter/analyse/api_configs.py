"""Keys of YAML and JSON files that a program's parser turns into keywords of a package's data class."""

from collections.abc import Iterator, Mapping

from vc2doctor.linter.analyse.api_launches import parsed_classes, program_of
from vc2doctor.linter.analyse.api_use import Use
from vc2doctor.linter.analyse.paths import file_of_launch
from vc2doctor.linter.analyse.resolve import CodeFacts
from vc2doctor.linter.knowledge.api_table import ApiTable
from vc2doctor.linter.read.config import Config, Launch
from vc2doctor.linter.read.launchers.transformers_arguments import is_of_trainer
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.run_settings import keys_of_config

_READS_FILES = ("parse_yaml_file", "parse_json_file", "parse_yaml_and_args", "parse_args_and_config", "TrlParser")
"""Texts of programs whose parser reads files; it refuses a key that no data class has."""
_TAKES_OTHERS = ("allow_extra_keys=True", "fail_with_unknown_args=False", "return_remaining_strings=True")
"""Texts of programs whose parser leaves unknown keys alone."""


def config_uses(code: CodeFacts, table: ApiTable) -> Iterator[Use]:
    """Yield the keys of files, named by a command, that some release of a package's data class lacks."""
    known = {config.name: config for config in code.files.configs if config.kind in ("yaml", "json")}
    seen: set[tuple[str, str]] = set()
    for launch in code.files.launches:
        module = program_of(code, launch)
        names = list(_files_of(launch, known)) if module is not None else []
        if module is None or not names or not _reads_files(code, module):
            continue
        for name in names:
            for use in _of_config(code, table, module, known[name]):
                if (name, use.label) not in seen:
                    seen.add((name, use.label))
                    yield use


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
    return is_strict and any(mark in text for text in texts for mark in _READS_FILES)


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
