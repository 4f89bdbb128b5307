"""float16 regions that an option of the program chooses: without loss scaling, or for more texts than the scaler."""

from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.autocast import Region
from vc2doctor.linter.analyse.dtype_choices import DtypeChoice, choice_of, compared_texts
from vc2doctor.linter.analyse.dtypes import FLOAT16
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.loops import Loop
from vc2doctor.linter.analyse.loss_scaling import (
    is_of_plain_loss,
    is_scaled,
    only_measures,
    scale_calls,
    scalers_of,
)
from vc2doctor.linter.analyse.scalers import Scaler
from vc2doctor.linter.model import CodeFinding

_ENGINES = ("deepspeed", "GradScaler", "colossalai")
"""Texts of modules in which something else may scale the loss."""


def unscaled_choice(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the plain backward passes of a loop whose region is float16 if an option says so, and that scales nothing.

    Loops that the values of the program already show to be float16 are left to the rule itself.
    """
    if is_scaled(facts, loop) or only_measures(facts, loop) or scale_calls(facts, loop):
        return
    if any(text in loop.function.module.source.text for text in _ENGINES):
        return
    for region, choice in _choices(facts, loop):
        if FLOAT16 not in region.dtypes and FLOAT16 in choice.allowed(_choices_of_option(facts, loop, choice)):
            for call in loop.backwards:
                if is_of_plain_loss(call) and facts.values.is_reached(call.place) is not False:
                    yield build.at_node(
                        call.place.module,
                        call.node,
                        "VC104",
                        Severity.WARNING,
                        f"--{choice.option} can make the region float16, and nothing scales the loss: "
                        "small gradients become zero, and the first overflow makes every trainable tensor NaN",
                        evidence=(f"the dtype is chosen by {build.code(choice.test)}: {_place(region, choice)}",),
                        remedy="Use a GradScaler that is enabled for float16, or refuse float16 in this program.",
                        url=build.AMP_EXAMPLES_URL,
                        role="scaler",
                    )
            return


def texts_without_scaler(facts: Facts, loop: Loop) -> Iterator[CodeFinding]:
    """Yield the choice of a dtype that gives float16 for more texts than those for which the scaler is enabled."""
    scalers = scalers_of(facts, facts.code.unit_of(loop.function.module), loop)
    if len(scalers) != 1 or not scale_calls(facts, loop):
        return
    option, scaled = _enabled_for(facts, scalers[0])
    for region, choice in _choices(facts, loop):
        if choice.option != option or choice.otherwise != FLOAT16 or not scaled:
            continue
        allowed = _choices_of_option(facts, loop, choice)
        unscaled = [text for text in allowed if text not in scaled and text not in choice.texts]
        if allowed and not unscaled:
            continue
        named = " or ".join(unscaled) if unscaled else f"other than {' and '.join(sorted({*choice.texts, *scaled}))}"
        scaler = build.place_of(scalers[0].call.place.module, scalers[0].call.node).location
        yield build.at_node(
            region.autocast.call.place.module,
            choice.test,
            "VC106",
            Severity.WARNING if unscaled else Severity.NOTE,
            f"--{option} {named} gives float16 here, and the scaler is off for it",
            evidence=(
                f"the scaler is enabled for {', '.join(scaled)}: {scaler}",
                *(() if allowed else ("the option has no choices, so every text is accepted, also a misspelled one",)),
            ),
            remedy=f"Give --{option} the choices that the code knows, or raise an error for every other text.",
            url="https://docs.python.org/3/library/argparse.html#choices",
            role="config",
        )
        return


def _choices(facts: Facts, loop: Loop) -> Iterator[tuple[Region, DtypeChoice]]:
    """Yield the regions of a loop whose dtype an option chooses."""
    for region in loop.regions:
        dtype = region.autocast.dtype_argument
        choice = choice_of(facts, dtype, region.autocast.call.place) if dtype is not None else None
        if choice is not None and not region.autocast.is_disabled:
            yield region, choice


def _choices_of_option(facts: Facts, loop: Loop, choice: DtypeChoice) -> tuple[str, ...]:
    """Return the texts that the option accepts; empty: every text."""
    declared = facts.code.unit_of(loop.function.module).arguments.get(choice.option, [])
    own = [argument for argument in declared if argument.function.module is loop.function.module] or declared
    lists = [argument.choices for argument in own]
    return tuple(dict.fromkeys(text for texts in lists for text in texts)) if all(lists) else ()


def _enabled_for(facts: Facts, scaler: Scaler) -> tuple[str, tuple[str, ...]]:
    """Return the option and the texts for which a scaler is enabled; empty: something else decides."""
    enabled = scaler.call.argument("enabled")
    return compared_texts(facts, enabled, scaler.call.place) if enabled is not None else ("", ())


def _place(region: Region, choice: DtypeChoice) -> str:
    return build.place_of(region.autocast.call.place.module, choice.test).location
