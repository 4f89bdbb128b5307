"""DeepSpeed with apex's amp beside its own half precision or beside ZeRO: DeepSpeed refuses both pairs."""

import ast
from collections.abc import Iterator

from vc2doctor.findings import Severity
from vc2doctor.linter import build
from vc2doctor.linter.analyse.exclusive import are_exclusive
from vc2doctor.linter.analyse.facts import Facts
from vc2doctor.linter.analyse.resolve import Unit
from vc2doctor.linter.analyse.stage import is_inference_path
from vc2doctor.linter.model import CodeFinding
from vc2doctor.linter.read.config import Config
from vc2doctor.linter.read.launchers.deepspeed import is_deepspeed
from vc2doctor.linter.read.module import Module, Place

_URL = "https://www.deepspeed.ai/docs/config-json/#automatic-mixed-precision-amp-training-options"
_EVIDENCE = (
    "read in DeepSpeed's source (runtime/engine.py, _do_optimizer_sanity_check): amp beside ZeRO fails an assertion, "
    "and amp beside fp16 or bf16 raises NotImplementedError"
)
_REMEDY = "Remove the amp block, and use fp16 or bf16 of DeepSpeed."


def engine_amp(facts: Facts, unit: Unit) -> Iterator[CodeFinding]:
    """Yield configurations of DeepSpeed, in files and in code, with amp beside what it excludes."""
    for config in unit.configs:
        if is_deepspeed(config) and not is_inference_path(config.name):
            yield from _in_file(config)
    for module in unit.modules:
        if "deepspeed" in module.source.text.lower() and not is_inference_path(module.name):
            yield from _in_code(facts, module)


def _in_file(config: Config) -> Iterator[CodeFinding]:
    amp = config.find("amp.enabled")
    stage = config.get("zero_optimization.stage")
    half = next((key for key in ("fp16", "bf16") if config.get(f"{key}.enabled") is True), None)
    other = half or (f"ZeRO-{stage}" if isinstance(stage, int) and stage > 0 else None)
    if amp is not None and amp.value is True and other is not None:
        yield build.at_entry(
            config,
            amp,
            "VC106",
            Severity.ERROR,
            f"this DeepSpeed configuration enables apex's amp beside {other}, which DeepSpeed refuses",
            evidence=(_EVIDENCE,),
            remedy=_REMEDY,
            url=_URL,
            role="config",
        )


def _in_code(facts: Facts, module: Module) -> Iterator[CodeFinding]:
    blocks = [(name, place) for place in module.statements for name in [_block_of(place)] if name is not None]
    for name, place in blocks:
        others = (other for other_name, other in blocks if other_name == "zero_optimization")
        other = next((each for each in others if _go_together(place, each)), None)
        if name == "amp" and other is not None and facts.values.is_reached(place) is not False:
            yield build.at_node(
                module,
                _node(place),
                "VC106",
                Severity.ERROR,
                "apex's amp and ZeRO are put into one configuration of DeepSpeed, which refuses the pair",
                evidence=(
                    f"ZeRO at {build.place_of(module, other.statement or module.source.tree).location}",
                    _EVIDENCE,
                ),
                remedy=_REMEDY,
                url=_URL,
                role="config",
            )


def _node(place: Place) -> ast.AST:
    return place.statement or place.module.source.tree


def _block_of(place: Place) -> str | None:
    """Return the block that a statement adds to a configuration: amp that is on, or ZeRO; ``None`` for others."""
    match place.statement:
        case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=str(name)))], value=ast.Dict() as block):
            pairs = zip(block.keys, block.values, strict=True)
            texts = {ast.unparse(key): ast.unparse(value) for key, value in pairs if key is not None}
            is_on = texts.get("'enabled'") == "True"
            return name if name == "zero_optimization" or (name == "amp" and is_on) else None
    return None


def _go_together(place: Place, other: Place) -> bool:
    """Return whether one run can reach both places: in one function, and not in branches that exclude each other."""
    return place.function is other.function and not are_exclusive(place, other)
