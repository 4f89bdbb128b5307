"""The runs of a project: each command, configuration or call that starts training, with all that it asks for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from vc2doctor.linter.analyse.paths import file_named, file_of_launch, program_of_launch
from vc2doctor.linter.analyse.resolve import CodeFacts, Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.analyse.trainer_calls import (
    limits_in_lightning,
    settings_of_call,
    takes_flags_of_lightning,
    uses_trainer,
)
from vc2doctor.linter.analyse.values import Values
from vc2doctor.linter.read import launchers
from vc2doctor.linter.read.config import Config, ConfigEntry, Flag, Launch
from vc2doctor.linter.read.formats import config_suffixes
from vc2doctor.linter.read.formats.yaml import parse_yaml
from vc2doctor.linter.read.launchers.lightning import settings_of_trainer
from vc2doctor.linter.read.launchers.transformers_arguments import settings_of_keys
from vc2doctor.linter.read.module import Module
from vc2doctor.linter.read.run_settings import HALF, Precision, RunSettings, Setting, keys_of_flags
from vc2doctor.linter.read.source import decode

TRAINER_LAUNCHERS = ("transformers", "llama-factory", "axolotl", "ms-swift")
"""Those whose settings are arguments of transformers' trainer."""
MAX_DEFAULTS = 32
"""Files of Hydra that are composed into one. The limit ends files that name each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """DeepSpeed's file of a run."""

    config: Config
    named_at: Setting[str]
    """Where the run names the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One way to start training."""

    settings: tuple[RunSettings, ...]
    """What its files, flags and calls ask for; each of them says a part."""
    launch: Launch | None = None
    """The command; ``None``: the run is a configuration or a call alone."""
    engine: Engine | None = None
    modules: frozenset[Module] = frozenset()
    """The program and what it imports; empty: unknown."""

    @property
    def flags(self) -> dict[str, Flag]:
        """The flags of its command by name, without the dashes before it and with underscores in it."""
        flags = self.launch.flags if self.launch is not None else {}
        return {name.lstrip("-").replace("-", "_"): flag for name, flag in flags.items()}

    def of(self, *names: str) -> tuple[RunSettings, ...]:
        """Return the settings that some launchers read."""
        return tuple(settings for settings in self.settings if settings.launcher in names)

    def is_from_call(self, setting: "Setting[Precision]") -> bool:
        """Return whether a call in code gives a setting."""
        return any(setting in settings.precisions for settings in self.settings if settings.is_call)

    @property
    def is_of_trainer(self) -> bool:
        """Whether transformers' trainer runs it."""
        return bool(self.of(*TRAINER_LAUNCHERS))

    @property
    def precisions(self) -> tuple[Setting[Precision], ...]:
        """The precisions that are asked for: by the trainer's flags and files, else by its calls, else by launchers."""
        of_trainer = self.of(*TRAINER_LAUNCHERS)
        given = [setting for settings in of_trainer if not settings.is_call for setting in settings.precisions]
        in_calls = [setting for settings in of_trainer for setting in settings.precisions]
        return tuple(given or in_calls or [setting for settings in self.settings for setting in settings.precisions])

    @property
    def half(self) -> Setting[Precision] | None:
        """The half precision that is asked for, if it is the only one."""
        values = {setting.value for setting in self.precisions}
        return self.precisions[0] if len(values) == 1 and self.precisions[0].value in HALF else None


class RunFacts:
    """The runs of one project."""

    def __init__(self, code: CodeFacts, values: Values) -> None:
        self._code = code
        self._values = values

    @cached_property
    def _names(self) -> frozenset[str]:
        files = self._code.files
        return frozenset((*files.modules, *files.texts, *self._configs))

    @cached_property
    def _configs(self) -> Mapping[str, Config]:
        return {config.name: config for config in self._code.files.configs}

    @cached_property
    def _settings(self) -> Mapping[str, RunSettings]:
        """What each configuration asks for that some launcher knows."""
        configs = (*self._configs.values(), *self._hydra_roots())
        readings = ((config.name, launchers.of_config(self._composed(config))) for config in configs)
        return {name: settings for name, settings in readings if settings is not None}

    def _hydra_roots(self) -> Iterator[Config]:
        """Yield the files that only compose others: they say nothing about precision themselves."""
        for name, data in self._code.files.texts.items():
            if name.lower().endswith((".yaml", ".yml")) and re.search(rb"^defaults\s*:", data, re.MULTILINE):
                config = parse_yaml(name, decode(data))
                if config is not None and config.defaults:
                    yield config

    def settings_of(self, config: Config) -> RunSettings | None:
        """Return what a configuration asks for; ``None``: no launcher knows it."""
        return self._settings.get(config.name)

    def entry(self, path: str, key: str) -> ConfigEntry | None:
        """Return a key of a configuration; ``None``: there is no such file, or it lacks the key."""
        config = self._configs.get(path)
        return config.find(key) if config is not None else None

    def keys_of(self, path: str) -> dict[str, object]:
        """Return the keys of a configuration with their values; empty: there is no such file."""
        config = self._configs.get(path)
        return {entry.key: entry.value for entry in config.entries} if config is not None else {}

    @cached_property
    def _by_launch(self) -> Mapping[str, list[Run]]:
        """The runs of commands, by the script."""
        runs: dict[str, list[Run]] = {}
        for launch in self._code.files.launches:
            program = launch.program.rpartition("/")[2] if launch.program.endswith(".py") else ""
            if not is_inference_path(launch.script) and not is_inference_path(program):
                runs.setdefault(launch.script, []).append(self._of_launch(launch))
        return runs

    def of(self, unit: Unit) -> Iterator[Run]:
        """Yield the runs that belong to a unit: its commands, and the configurations and calls beside them."""
        for script in dict.fromkeys(launch.script for launch in unit.launches):
            yield from self._by_launch.get(script, ())
        in_commands = {settings.path for runs in self._by_launch.values() for run in runs for settings in run.settings}
        for name, settings in self._settings.items():
            is_own_run = settings.launcher != "deepspeed" and name not in in_commands
            if is_own_run and self._folder_of(settings) == unit.folder and not is_inference_path(name):
                yield Run((settings,), engine=self._engine_of((settings,), None))
        for module in unit.modules:
            if not is_inference_path(module.name):
                yield from self._of_calls(module)

    def _folder_of(self, settings: RunSettings) -> str:
        """Return the folder of the unit of a file; that of the files it is composed from, if it is in none itself."""
        given = (*settings.precisions, *(each for each in (settings.clipping, settings.weights) if each is not None))
        paths = (settings.path, *(setting.path for setting in given))
        return self._code.folder_of(next((path for path in paths if path in self._code.files.folders), settings.path))

    def _of_calls(self, module: Module) -> Iterator[Run]:
        for call in module.calls:
            settings = settings_of_call(self._values, call)
            if settings is not None:
                modules = self._code.import_closure(module)
                yield Run((settings,), engine=self._engine_of((settings,), None), modules=modules)

    def _of_launch(self, launch: Launch) -> Run:
        program = self._program_of(launch)
        modules = self._code.import_closure(program) if program is not None else frozenset()
        by_flags, by_files = list(launchers.of_launch(launch)), list(self._of_files(launch))
        settings = [*by_flags, *by_files]
        is_of_trainer = uses_trainer(modules) or any(each.launcher in TRAINER_LAUNCHERS for each in by_files)
        if is_of_trainer and not any(each.launcher in TRAINER_LAUNCHERS for each in by_flags):
            own_flags = {name: flag for name, flag in launch.flags.items() if launch.launcher_flags.get(name) != flag}
            settings.append(settings_of_keys(keys_of_flags(launch, own_flags), "transformers"))
        if takes_flags_of_lightning(modules):
            of_flags = settings_of_trainer(keys_of_flags(launch, launch.flags))
            settings.append(replace(of_flags, unknown=of_flags.unknown | limits_in_lightning(modules)))
        calls = (settings_of_call(self._values, call) for call in (program.calls if program is not None else ()))
        settings.extend(each for each in calls if each is not None)
        return Run(tuple(settings), launch, self._engine_of(settings, launch), modules=modules)

    def _of_files(self, launch: Launch) -> Iterator[RunSettings]:
        """Yield what the files that a command names ask for, without what its own flags decide."""
        is_told = any(each.precisions for each in launchers.of_launch(launch) if each.launcher == "accelerate")
        for path in _config_paths(launch):
            name = file_of_launch(launch, path, self._names)
            settings = self._settings.get(name) if name is not None else None
            if settings is not None and settings.launcher != "deepspeed":
                overridden = is_told and settings.launcher == "accelerate"
                yield replace(settings, precisions=()) if overridden else settings
        user_config = self._code.files.user_config
        if user_config is not None and launch.launcher == "accelerate" and "--config_file" not in launch.launcher_flags:
            settings = launchers.of_config(user_config)
            if settings is not None:
                yield replace(settings, precisions=()) if is_told else settings

    def _program_of(self, launch: Launch) -> Module | None:
        name = program_of_launch(launch, self._names)
        return self._code.files.modules.get(name) if name is not None else None

    def _engine_of(
        self, settings: "list[RunSettings] | tuple[RunSettings, ...]", launch: Launch | None
    ) -> Engine | None:
        for each in settings:
            named = each.engine
            if named is None:
                continue
            # A path in a file is relative to the working folder too, which the command knows best.
            name = file_of_launch(launch, named.value, self._names) if launch is not None else None
            name = name or file_named(named.path, named.value, self._names)
            if name is not None and name in self._configs:
                return Engine(self._configs[name], named)
        return None

    def _composed(self, config: Config) -> Config:
        """Return a configuration of Hydra with the files that its list of defaults names."""
        entries: dict[str, ConfigEntry] = {}
        waiting = [(config, "")]
        for count, (current, package) in enumerate(waiting):
            folder = current.name.rpartition("/")[0]
            for item in current.defaults if count < MAX_DEFAULTS else ():
                path = f"{folder}/{item}.yaml" if folder else f"{item}.yaml"
                other = self._configs.get(path)
                if other is not None:
                    group = item.rpartition("/")[0].replace("/", ".")
                    waiting.append((other, ".".join(part for part in (package, group) if part)))
            for entry in current.entries:
                key = f"{package}.{entry.key}" if package else entry.key
                # A file wins over those that it is composed from.
                entries.setdefault(key, ConfigEntry(key, entry.value, entry.line, current.name))
        return replace(config, entries=tuple(entries.values())) if config.defaults else config


def _config_paths(launch: Launch) -> tuple[str, ...]:
    values = (flag.value for flag in launch.flags.values() if flag.value is not None)
    named = (value for value in values if value.endswith(config_suffixes()))
    return tuple(dict.fromkeys((*launch.config_paths, *named)))
