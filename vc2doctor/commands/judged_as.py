"""Decides what kind of training an environment is judged for: the profile, and the model that the probe trains.

In this order: the profile that the user chose; a project whose classes the code builds; the architecture of the
checkpoint; the configuration of a model that the code names; the type of a model that the code names; else a plain
language model.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from vc2doctor.checks.plan import PLAIN, JudgedAs
from vc2doctor.commands import model_config
from vc2doctor.commands.model_config import ModelConfig
from vc2doctor.commands.report import CodeModel, CodeReading
from vc2doctor.core import patterns
from vc2doctor.core.data import OwnData
from vc2doctor.linter.knowledge.model_types import model_type_of
from vc2doctor.matrix import load
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.profile import Profile
from vc2doctor.probe.spec import Subject

DEFAULT_PROFILE = "causal-lm"


class Choice(OwnData):
    """The profile, what it is judged as, and the model to train."""

    profile: Profile
    judged_as: JudgedAs
    architecture: str = ""
    """The JSON of a configuration for ``spec.architecture``; empty: the profile's own miniature."""


def choose(matrix: Matrix, profile: str | None, code: CodeReading, subject: Subject, folder: Path) -> Choice:
    """Return what to judge by. ``folder`` is the one that training is started in.

    Raises:
        MatrixError: the matrix has no such profile.
    """
    if profile is not None:
        chosen = load.profile(matrix, profile)
        judged_as = JudgedAs(subject=chosen.title, reason="the profile that you chose", model_types=chosen.model_types)
        return Choice(profile=chosen, judged_as=judged_as)
    by_class = next(_profiles_of_classes(matrix, code), None)
    if by_class is not None:
        return by_class
    plain = load.profile(matrix, DEFAULT_PROFILE)
    if subject.entry is not None:
        judged_as = JudgedAs(subject=f"the model of your function {subject.entry}", reason="--entry")
        return Choice(profile=plain, judged_as=judged_as)
    if subject.checkpoint is not None:
        return Choice(profile=plain, judged_as=_of_checkpoint(subject.checkpoint, matrix))
    return _of_code(matrix, plain, code, folder)


def _profiles_of_classes(matrix: Matrix, code: CodeReading) -> Iterator[Choice]:
    """Yield the profiles whose model classes the code defines or builds."""
    for model in code.models:
        for profile in matrix.profiles.values() if model.is_class else ():
            if any(patterns.is_whole(patterns.compiled(pattern), model.name) for pattern in profile.classes):
                reason = f"class {model.name} at {model.place}"
                judged_as = JudgedAs(subject=profile.title, reason=reason, model_types=profile.model_types)
                yield Choice(profile=profile, judged_as=judged_as)


def _of_checkpoint(path: Path, matrix: Matrix) -> JudgedAs:
    config = model_config.read(path, matrix.architectures.classes) if path.is_dir() else None
    gguf = None if path.is_dir() else model_config.gguf_type(path)
    types = config.model_types if config is not None else tuple(filter(None, (gguf,)))
    subject = f"your checkpoint, a {types[0]}" if types else "your checkpoint"
    return JudgedAs(subject=subject, reason=str(path), model_types=types)


def _of_code(matrix: Matrix, plain: Profile, code: CodeReading, folder: Path) -> Choice:
    if code.path is None:
        return Choice(profile=plain, judged_as=PLAIN)
    for model in code.models:
        config = _config_of(model, matrix, code, folder)
        if config is not None:
            return _by_config(plain, model, config)
    for model in code.models:
        model_type = _type_by_name(model, matrix)
        if model_type is not None:
            return _by_type(plain, model, model_type)
    reason = f"{code.path} names no model that is known"
    return Choice(profile=plain, judged_as=JudgedAs(subject=PLAIN.subject, reason=reason))


def _type_by_name(model: CodeModel, matrix: Matrix) -> str | None:
    if not model.is_class:
        return model_type_of(model.name)
    # A class that the project defines is its own, even if it is called like one of transformers'.
    return matrix.architectures.classes.get(model.name) if not model.is_defined else None


def _config_of(model: CodeModel, matrix: Matrix, code: CodeReading, folder: Path) -> ModelConfig | None:
    if model.is_class:
        return None
    beside = code.root / Path(model.place.rpartition(":")[0]).parent
    return model_config.find(model.name, (folder, code.root, beside), matrix.architectures.classes)


def _by_config(plain: Profile, model: CodeModel, config: ModelConfig) -> Choice:
    types = config.model_types
    reason = f"{_relative(config.path)}, named at {model.place}"
    judged_as = JudgedAs(subject=types[0], reason=reason, model_types=types, config=config.path)
    return Choice(profile=plain, judged_as=judged_as, architecture=json.dumps(config.keys))


def _by_type(plain: Profile, model: CodeModel, model_type: str) -> Choice:
    if model.is_class:
        reason = f"class {model.name} at {model.place}"
    else:
        reason = f"by the name {model.name} at {model.place}; its config.json is not on this machine"
    judged_as = JudgedAs(subject=model_type, reason=reason, model_types=(model_type,), is_exact=model.is_class)
    return Choice(profile=plain, judged_as=judged_as, architecture=json.dumps({"model_type": model_type}))


def _relative(path: str) -> str:
    """Return a path relative to the working directory if it lies below, for a sentence."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
