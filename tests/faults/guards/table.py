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
    Guard("vc2doctor.core.store", "is_own", "lambda status: True", "AA damaged_answer_is_not_used_others_may_write_it"),
    Guard(
        "vc2doctor.core.store",
        "_checked",
        "lambda data: data.partition(b'\\n')[2]",
        "AA damaged_answer_is_not_used_it_is_of_another_version",
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
    Guard("vc2doctor.core.yaml_parsing", "_check_expansion", _NOTHING, "F yaml_configuration_aliases_that_fan_out"),
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
    Guard("vc2doctor.core.yaml_parsing", "_CONSTRUCTION_ERRORS", "()", "M yaml_with_a_timestamp_that_is_none"),
    Guard("vc2doctor.cli.options", "_finite", "lambda context, parameter, value: value", "N time_limit_nan"),
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
    Guard(
        "vc2doctor.commands.baseline",
        "check_replaceable",
        _NOTHING,
        "AB update_over_the_code",
    ),
    Guard("vc2doctor.cli.output", "_check_distinct", _NOTHING, "AB two_reports_in_one_file"),
    Guard("vc2doctor.commands.init", "_check_inside", _NOTHING, "AC folder_is_a_link_to_another_folder"),
    Guard(
        "vc2doctor.cli.gate",
        "_verdict_of",
        "lambda result: module._Verdict(result['fits'], result['sentence']) if result is not None else None",
        "AD result_of_another_rank_without_a_sentence",
    ),
    Guard("vc2doctor.core.time_limit", "_MAX_SECONDS", "float('inf')", "AD time_limit_of_1e300"),
    Guard("vc2doctor.matrix.bundle", "_ENTRY", "module.re.compile('.*')", "AE bundle_that_leads_outside"),
    Guard("vc2doctor.cli.main", "_exit_code", "lambda: module.cli()", "N deleted_working_directory"),
)
