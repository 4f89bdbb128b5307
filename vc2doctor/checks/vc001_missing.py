"""A package of the stack is not installed, or no environment was chosen.

This check looks for torch, transformers and peft. A package whose metadata names no valid version counts as missing,
because its version cannot be judged.

Why it matters: without these three packages there is nothing to train with. peft requires accelerate and safetensors;
VC004 reports them if they are missing. peft alone is a note where code was read that never mentions it, LoRA or
adapters: such code trains weights themselves. Then the probe trains every weight, and no adapter is tried.

If the doctor runs in an environment of its own (``uvx``, ``pipx``, ``uv tool``), no other one is active, and you named
none, then nothing was examined. Nothing is installed into the doctor's own environment.

What to do: install a set of versions that was measured to train together. The commands of the finding do that. Without
an environment, activate the one that you train in, or name it: ``vc2doctor check --python .venv``.
"""

from collections.abc import Iterator

from vc2doctor.checks import advice
from vc2doctor.checks.context import Examination
from vc2doctor.core import shell
from vc2doctor.core.versions import contains
from vc2doctor.core.wording import enumerated
from vc2doctor.findings import Finding, Severity

_NAME_IT = "Activate the environment that you train in, or name it: its folder, or its interpreter."


def check(examination: Examination) -> Iterator[Finding]:
    """Find packages of the stack that are not installed."""
    missing = examination.missing
    if examination.environment.is_unchosen:
        yield _unchosen(examination)
        return
    if not missing:
        return
    environment = examination.environment
    are = "is" if len(missing) == 1 else "are"
    evidence = [f"looked in {environment.interpreter.path}"]
    evidence += list(_unread_versions(examination))
    evidence += list(_asked(examination))
    for name in missing:
        module = environment.module(name)
        if module is not None and module.found:
            place = module.origin or "a folder on the import path"
            evidence.append(f"there is a module {name} at {place}, but no distribution owns it")
    remedy, commands = advice.change_versions(examination)
    if examination.is_without_adapters:
        yield _without_adapters(evidence)
        return
    yield Finding(
        id="VC001",
        severity=Severity.ERROR,
        message=f"{enumerated(missing)} {are} not installed",
        evidence=tuple(evidence),
        remedy=remedy,
        commands=commands,
        url="https://packaging.python.org/en/latest/tutorials/installing-packages/",
        packages=missing,
    )


def _without_adapters(evidence: list[str]) -> Finding:
    return Finding(
        id="VC001",
        severity=Severity.NOTE,
        message="peft is not installed, and your code never mentions adapters, so none was tried",
        evidence=(*evidence, "no file of the code that was read mentions peft, LoRA or adapters"),
        remedy="If you train adapters, install peft and check again. Otherwise there is nothing to do.",
        url="https://huggingface.co/docs/peft/install",
        packages=("peft",),
    )


def _asked(examination: Examination) -> Iterator[str]:
    """Yield what the files of the project ask for of what is missing, and whether the remedy meets it."""
    asked = {name: examination.asked[name] for name in examination.missing if name in examination.asked}
    yield from (f"{each.location} asks for {name}{each.specifier}" for name, each in asked.items())
    versions = examination.version_plan.versions
    if not all(contains(each.specifier, versions.get(name, "")) for name, each in asked.items()):
        yield "no set of versions that meets all of this is known to train here"


def _unread_versions(examination: Examination) -> Iterator[str]:
    """Yield the distributions that are there, and whose version cannot be judged."""
    for name in examination.missing:
        distribution = examination.environment.distribution(name)
        if distribution is not None:
            yield f"there is a distribution {name}, but its version is not valid: {distribution.version}"


def _unchosen(examination: Examination) -> Finding:
    environment = examination.environment
    choice = environment.choice
    owner = f", made by {choice.tool}," if choice.tool else ""
    missing = " and no ".join(examination.missing)
    evidence = (
        f"the doctor's own environment{owner} has no {missing}: {environment.interpreter.prefix}",
        choice.reason if choice.by_command else "no virtual or conda environment is active, and --python names none",
        *(f"this project has an environment: {path}" for path in choice.others),
    )
    folders = choice.others or (".venv",)
    commands = () if choice.by_command else (shell.join(["vc2doctor", "check", "--python", path]) for path in folders)
    return Finding(
        id="VC001",
        severity=Severity.ERROR,
        message="no environment was chosen, so none was examined",
        evidence=evidence,
        remedy=_choose(folders[0]) if choice.by_command else _NAME_IT,
        commands=tuple(commands),
        url="https://packaging.python.org/en/latest/tutorials/installing-packages/",
    )


def _choose(folder: str) -> str:
    return (
        f"Activate the environment that you train in, or write its interpreter into the command, such as"
        f" {shell.join([f'{folder}/bin/python'])} in place of python."
    )
