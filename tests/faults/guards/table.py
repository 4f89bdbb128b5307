"""The table of guards."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Guard(NamedTuple):
    """A guard of the doctor, what takes its place, and the row that must be red then."""

    module: str
    attribute: str
    replacement: str | tuple[str, str, str]
    """A Python expression, in which ``original`` is the guard; for ``target``: a file, a text in it, and another."""
    row: str
    """Kind and name of the row."""
    way: Literal["attribute", "file", "target"] = "attribute"
    """``file``: the module is started by its path, so it is replaced there. ``target``: the attribute is the folder
    that the target interpreter runs."""
    in_suite: bool = False


_NOTHING = "lambda *a, **k: None"
_FIRST = "lambda value, *a, **k: value"

GUARDS = (
    Guard(
        "vc2doctor.commands.settings",
        "_SAFE_KEYS",
        "frozenset(module.Settings.model_fields)",
        "A output_of_found_settings_is_not_written",
    ),
    Guard(
        "vc2doctor.probe.run",
        "WORKER",
        ("probe/checkpoint_files.py", "not _is_inside(name)", "False"),
        "B index_leads_outside",
        "target",
    ),
    Guard("vc2doctor.core.writing", "_can_be_replaced", "lambda path: True", "C output_to_a_device", in_suite=True),
    Guard("vc2doctor.core.writing", "_keep_owner_and_mode", _NOTHING, "C output_over_a_file_of_another_user"),
    Guard("vc2doctor.core.supervisor", "_Watch.end_descendants", _NOTHING, "P child_that_calls_setsid", "file"),
    Guard("vc2doctor.core.supervisor", "_Kernel.adopt_orphans", _NOTHING, "P child_that_is_forked_twice", "file"),
    Guard(
        "vc2doctor.core.scratch",
        "_janitor_of",
        "__import__('contextlib').nullcontext",
        "D kill_while_torch_is_imported",
    ),
    Guard(
        "vc2doctor.core.scratch",
        "remove_abandoned",
        _NOTHING,
        "D scratch_folder_of_a_killed_run_is_removed_by_the_next",
    ),
    Guard(
        "vc2doctor.core.patterns",
        "gitignore",
        "__import__('pathspec').GitIgnoreSpec.from_lines",
        "F gitignore_bad_range",
    ),
    Guard("vc2doctor.core.parsing", "_check_expansion", _NOTHING, "F yaml_configuration_aliases_that_fan_out"),
    Guard(
        "vc2doctor.core.parsing",
        "_LONG_KEY",
        "__import__('re2').compile('nosuch')",
        "F settings_toml_key_of_many_parts",
    ),
    Guard("vc2doctor.core.reading", "open_regular", "lambda path: open(path, 'rb')", "G named_pipe"),
    Guard("vc2doctor.core.streams", "prepare", _NOTHING, "I reader_of_nothing_schema", in_suite=True),
    Guard("vc2doctor.core.streams", "_open_missing_descriptors", _NOTHING, "J report_file_without_streams"),
    Guard("vc2doctor.core.printing", "printable", _FIRST, "L argument_path", in_suite=True),
    Guard("vc2doctor.core.printing", "without_surrogates", _FIRST, "K target_json"),
    Guard("vc2doctor.core.shell", "quote", _FIRST, "L command_for_a_target_with_a_substitution"),
    Guard("vc2doctor.core.parsing", "_CONSTRUCTION_ERRORS", "()", "M yaml_with_a_timestamp_that_is_none"),
    Guard("vc2doctor.cli.options", "_is_finite", "lambda context, parameter, value: value", "N time_limit_nan"),
    Guard(
        "vc2doctor.checks.vc024_not_described",
        "check",
        "lambda examination: iter(())",
        "O start_of_python_ends_quietly",
    ),
    Guard(
        "vc2doctor.checks.vc016_lying_metadata",
        "check",
        "lambda examination: iter(())",
        "Q version_that_is_another_in_the_module",
    ),
    Guard(
        "vc2doctor.core.listener",
        "Listener._take_line",
        "lambda self, line: self._on_event({k: v for k, v in module.json.loads(line).items() if k != 'secret'})",
        "Q events_of_a_complete_good_run",
    ),
    Guard("vc2doctor.cli.main", "_exit_code", "lambda: module.cli()", "N deleted_working_directory"),
)
