"""Read which architectures each release of transformers has: ``matrices/architectures.json``.

``python -m vc2doctor.curate.architectures --cache FOLDER --into FILE`` reads the wheels that ``nox -s wheels`` keeps in
its cache. No code of a wheel runs.
"""

import ast
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
from packaging.utils import parse_wheel_filename

from vc2doctor.core import writing
from vc2doctor.matrix.architectures import Architectures

_FILES = tuple(
    f"transformers/models/auto/{name}.py" for name in ("configuration_auto", "auto_mappings", "modeling_auto")
)
_CONFIGS = "CONFIG_MAPPING_NAMES"
_MODELS = ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
_DECODERS = ("ForCausalLM", "ForConditionalGeneration")
_EXCEPTIONS = ("GPT2LMHeadModel",)
"""The only other name of a decoder's class: encoders such as BERT have an ``LMHeadModel``, too."""


def read_all(folder: Path) -> Architectures:
    """Return the architectures of all final releases of transformers whose wheels are in ``folder``."""
    wheels = sorted((parse_wheel_filename(path.name)[1], path) for path in folder.glob("transformers-*.whl"))
    first: dict[str, str] = {}
    classes: dict[str, str] = {}
    for version, path in wheels:
        types, own_classes = _read(path)
        for name in sorted(types):
            first.setdefault(name, str(version))
        classes.update(own_classes)
    return Architectures(
        oldest=str(wheels[0][0]),
        newest=str(wheels[-1][0]),
        first=dict(sorted(first.items())),
        classes=dict(sorted(classes.items())),
    )


def _read(path: Path) -> tuple[set[str], dict[str, str]]:
    types: set[str] = set()
    classes: dict[str, str] = {}
    with zipfile.ZipFile(path) as archive:
        for file in set(_FILES) & set(archive.namelist()):
            for name, table in _tables(ast.parse(archive.read(file))):
                pairs = dict(_pairs(table))
                if name == _CONFIGS:
                    types |= set(pairs)
                elif name in _MODELS:
                    classes.update({cls: model_type for model_type, cls in pairs.items() if _is_decoder(cls)})
    return types, classes


def _is_decoder(cls: str) -> bool:
    return cls.endswith(_DECODERS) or cls in _EXCEPTIONS


def _tables(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target.id, statement.value


def _pairs(table: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield key and value of every pair of texts in ``OrderedDict([("key", "value"), …])`` or ``{"key": "value"}``."""
    for node in ast.walk(table):
        if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == 2:  # noqa: PLR2004 - a pair
            keys, values = node.elts[:1], node.elts[1:]
        elif isinstance(node, ast.Dict):
            keys, values = [key for key in node.keys if key is not None], node.values
        else:
            continue
        for key, value in zip(keys, values, strict=False):
            if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                yield str(key.value), str(value.value)


@click.command()
@click.option("--cache", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write.")
def main(cache: Path, into: Path) -> None:
    """Write what the wheels in --cache know about architectures to --into."""
    writing.write_output(into, read_all(cache).model_dump_json(by_alias=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
