"""All files of a project as text, with the edits that were made so far. They are read and parsed when needed."""

import ast
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from vc2doctor.core import reading
from vc2doctor.linter.analyse.import_graph import ImportGraph
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.fix.tokens.token import CodeFile, Token
from vc2doctor.linter.model import CodeFinding, undiagnosed
from vc2doctor.linter.read import discover, formats
from vc2doctor.linter.read.source import UnreadableError, decode, read_source
from vc2doctor.linter.run import LintResult, LintTask


class ProjectView:
    """The files below the paths of a task, and what the rules know of them.

    Vendored copies of libraries are left out, as the linter leaves them out. Files that ``.gitignore`` names are in.
    """

    def __init__(self, task: LintTask, result: LintResult, overlay: Mapping[str, str]) -> None:
        self.result = result
        self.facts = result.facts
        self.root = result.facts.code.files.root
        self.target = task.precision
        self._overlay = overlay
        self._code: dict[str, CodeFile | None] = {}
        self.memory: dict[Any, list[Token]] = {}
        """What was found for a program. A view never changes, so that nothing is searched twice."""
        self.code_memory: dict[frozenset[str], list[Token]] = {}
        """What was found in a set of Python files."""
        self.unread: dict[str, str] = {}
        """The files that cannot be parsed, with the reason."""
        self.files = {
            file.name: file.path
            for file in discover.find_files(task.paths, self.root).files
            if not discover.is_excluded(file.name, task.settings.exclude)
        }

    @cached_property
    def python_names(self) -> frozenset[str]:
        """The names of all Python files."""
        return frozenset(name for name in self.files if name.endswith(".py"))

    @cached_property
    def script_names(self) -> tuple[str, ...]:
        """The names of all launch scripts."""
        suffixes = tuple(suffix for each in formats.known() if each.kind == "script" for suffix in each.suffixes)
        return tuple(name for name in self.files if name.lower().endswith(suffixes))

    @cached_property
    def settings_names(self) -> tuple[str, ...]:
        """The names of all YAML and JSON files."""
        return tuple(name for name in self.files if name.lower().endswith((".yaml", ".yml", ".json")))

    @cached_property
    def python_settings(self) -> frozenset[str]:
        """The names of the Python files that only assign settings."""
        return frozenset(config.name for config in self.facts.code.files.configs if config.kind == "python")

    @cached_property
    def imports(self) -> ImportGraph:
        """The imports between the Python files."""
        return ImportGraph(self.python_names, self._tree)

    def text(self, name: str) -> str:
        """Return the text of a file; ``""``: it cannot be read."""
        if name in self._overlay:
            return self._overlay[name]
        try:
            return decode(reading.read_bytes(self.files[name]))
        except reading.ReadError as error:
            self.unread[name] = error.reason
            return ""

    def code(self, name: str) -> CodeFile | None:
        """Return a Python file or notebook; ``None``: it cannot be parsed, see ``unread``."""
        if name not in self._code:
            self._code[name] = self._parsed(name)
        return self._code[name]

    def _tree(self, name: str) -> ast.Module | None:
        code = self.code(name)
        return code.tree if code is not None else None

    def _parsed(self, name: str) -> CodeFile | None:
        module = self.facts.code.files.modules.get(name)
        try:
            source = module.source if module is not None else read_source(name, self.text(name).encode())
        except (UnreadableError, RecursionError) as error:
            self.unread[name] = str(error)
            return None
        parents = {child: node for node in ast.walk(source.tree) for child in ast.iter_child_nodes(node)}
        return CodeFile(
            name=name,
            tree=source.tree,
            imports=module.imports if module is not None else _imports(source.tree),
            parents=parents,
            module=module,
            is_notebook=name.endswith(".ipynb"),
            is_inference=is_inference_path(name),
            is_settings=name in self.python_settings,
        )

    def unit_of(self, name: str) -> str:
        """Return the folder of the unit that a file is in; ``""`` is the root."""
        units = (unit for unit in self.facts.code.units if not unit or name.startswith(f"{unit}/"))
        return max(units, key=len, default="")

    @cached_property
    def float16_places(self) -> tuple[CodeFinding, ...]:
        """Every place that the rules know to make the project float16: those of diagnoses, and single findings."""
        single = undiagnosed(self.result.findings, self.result.diagnoses)
        diagnosed = [place for diagnosis in self.result.diagnoses for place in diagnosis.places]
        return (*diagnosed, *(finding for finding in single if finding.cause == "float16"))


def _imports(tree: ast.Module) -> dict[str, str]:
    imports: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                imports[alias.asname or alias.name] = f"{'.' * node.level}{node.module or ''}.{alias.name}"
    return imports
