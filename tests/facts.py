"""Builders of facts with sensible defaults, for the tests of pure functions."""

from __future__ import annotations

from typing import Any

from packaging.markers import default_environment

from vc2doctor.checks.context import Examination
from vc2doctor.checks.plan import Plan
from vc2doctor.core.child import ChildRun
from vc2doctor.core.failure import Failure, Missing
from vc2doctor.core.invocation import Invocation
from vc2doctor.curate.compile import compile_matrix
from vc2doctor.environment.model import Cpu, Distribution, Environment, Gpu, Interpreter, Module, Nvidia, Platform
from vc2doctor.findings import Severity
from vc2doctor.matrix import load
from vc2doctor.matrix.evidence import EvidenceLine
from vc2doctor.matrix.matrix import Matrix
from vc2doctor.matrix.releases import Wheels
from vc2doctor.probe.facts import AdapterRun, Adapters, Device, Gradients, ProbeRun, RecipeFailure, RecipeRun, Step
from vc2doctor.target.shared.recipes import DEFAULT_RECIPES, RECIPES

SHIPPED = load.load(load.shipped())
EVIDENCE = load.evidence(load.shipped())
GOOD = {"torch": "2.13.0+cpu", "transformers": "4.40.1", "peft": "0.13.0", "numpy": "2.4.6", "accelerate": "1.15.0"}
SITE = "/env/lib/python3.11/site-packages"
NO_DRIVER = Nvidia(note="no NVIDIA driver: NVML Shared Library Not Found")


def distribution(name: str, version: str | None, **fields: Any) -> Distribution:  # noqa: ANN401
    path = fields.pop("path", f"{SITE}/{name}-{version}.dist-info")
    return Distribution(name=name, version=version, path=path, **fields)


def interpreter(**fields: Any) -> Interpreter:  # noqa: ANN401
    defaults = {
        "path": "/env/bin/python",
        "version": "3.11.7",
        "implementation": "CPython",
        "prefix": "/env",
        "kind": "venv",
        "externally_managed": False,
        "has_pip": True,
    }
    return Interpreter(**{**defaults, **fields})


def environment(versions: dict[str, str] | None = None, **fields: Any) -> Environment:  # noqa: ANN401
    installed = GOOD if versions is None else versions
    markers = {name: str(value) for name, value in default_environment().items()}
    defaults: dict[str, Any] = {
        "interpreter": interpreter(),
        "platform": Platform(system="Linux", release="6", machine="x86_64", libc="glibc 2.36", markers=markers),
        "distributions": tuple(distribution(name, version) for name, version in installed.items()),
        "modules": tuple(Module(name=n, origin=f"{SITE}/{n}/__init__.py", found=True) for n in installed),
        "shadows": (),
        "cpu": Cpu(model="a processor", cores=2, flags=("avx512_bf16",), memory=2**34),
        "nvidia": NO_DRIVER,
    }
    return Environment.model_validate({**defaults, **fields})


def gpu(name: str, capability: tuple[int, int], index: int = 0) -> Gpu:
    return Gpu(index=index, name=name, capability=capability, memory_total=2**34, memory_free=2**33)


_SUBJECT_OPTIONS = {"entry": "entry", "model": "checkpoint"}


def plan(**fields: Any) -> Plan:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "profile": "videochat2-mistral",
        "precision": "bf16",
        "device": "auto",
        "require_gpu": False,
        "probe": True,
        "fail_on": Severity.ERROR,
    }
    subject = [(f"--{option}", fields[name]) for option, name in _SUBJECT_OPTIONS.items() if name in fields]
    if subject:
        defaults["invocation"] = Invocation(verb="probe", options=tuple(subject))
    return Plan.model_validate({**defaults, **fields})


def examination(
    versions: dict[str, str] | None = None,
    *,
    probe: ProbeRun | None = None,
    matrix: Matrix = SHIPPED,
    explicit_profile: bool = False,
    planned: dict[str, Any] | None = None,
    **fields: Any,  # noqa: ANN401
) -> Examination:
    return Examination(
        environment=environment(versions, **fields),
        matrix=matrix,
        profile=SHIPPED.profiles["videochat2-mistral"],
        plan=plan(**(planned or {})),
        probe=probe,
        explicit_profile=explicit_profile,
    )


def child(**fields: Any) -> ChildRun:  # noqa: ANN401
    return ChildRun(**{"ending": "exit", "code": 0, "seconds": 9.5, **fields})


def step(number: int, loss: float | None, **fields: Any) -> Step:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "taken": True,
        "scale": None,
        "gradients": Gradients(tensors=10, missing=0, non_finite=0, zero=0),
        "parameters_finite": True,
    }
    return Step(step=number, loss=loss, **{**defaults, **fields})


def falling(count: int = 6) -> tuple[Step, ...]:
    return tuple(step(number, 4.5 - number / 10) for number in range(count))


def recipe(name: str, **fields: Any) -> RecipeRun:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "finished": True,
        "seconds": 0.1,
        "adapters": Adapters(dtypes=("float32",), tensors=10, elements=1000),
        "steps": falling(),
        "moved": 1.0,
    }
    return RecipeRun(recipe=name, **{**defaults, **fields})


def failed(name: str, failure: Failure, phase: str = "forward") -> RecipeRun:
    return recipe(name, steps=(), moved=None, failure=RecipeFailure(phase=phase, error=failure, memory=False))


def failure(message: str = "it broke", **fields: Any) -> Failure:  # noqa: ANN401
    return Failure(**{"type": "RuntimeError", "message": message, "file": "torch/x.py", "line": 7, **fields})


MISSING_SYMBOL = Failure(
    type="ImportError",
    message="cannot import name 'EncoderDecoderCache' from 'transformers' (/env/transformers/__init__.py)",
    file="peft/peft_model.py",
    line=37,
    package="peft",
    missing=Missing(module="transformers", symbol="EncoderDecoderCache"),
)

CPU_DEVICE = Device(
    type="cpu",
    device="cpu",
    name=None,
    capability=None,
    architecture=None,
    torch_cuda=None,
    torch_hip=None,
    architectures=(),
    gpus=0,
)


def cuda_device(**fields: Any) -> Device:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "type": "cuda",
        "device": "cuda:0",
        "name": "NVIDIA H200",
        "capability": (9, 0),
        "torch_cuda": "12.8",
        "architectures": ("sm_80", "sm_90"),
        "gpus": 1,
    }
    return CPU_DEVICE.model_copy(update={**defaults, **fields})


def probe_run(*recipes: RecipeRun, **fields: Any) -> ProbeRun:  # noqa: ANN401
    """Return a probe in which every recipe trained, except that ``recipes`` replace those of the same name."""
    replacements = {run.recipe: run for run in recipes}
    defaults: dict[str, Any] = {
        "ending": "finished",
        "worker": "1",
        "stage": "done",
        "device": CPU_DEVICE,
        "recipes": tuple(
            replacements.get(name, recipe(name)) for name in RECIPES if name in DEFAULT_RECIPES or name in replacements
        ),
        "adapter": AdapterRun(
            recipe="fp32", done=("save", "reload", "generate"), difference=0.0, same=True, error=None, seconds=0.1
        ),
        "child": child(),
    }
    return ProbeRun(**{**defaults, **fields})


def cell(torch: str, transformers: str, peft: str, **fields: Any) -> EvidenceLine:  # noqa: ANN401
    defaults: dict[str, Any] = {
        "schema": 1,
        "name": f"{torch}-{transformers}-{peft}",
        "date": "2026-11-24",
        "worker": "1",
        "cell": {"python": "3.11", "torch": torch, "transformers": transformers, "peft": peft},
        "resolved": {"numpy": "2.4.6", "accelerate": "1.15.0"},
        "platform": "linux-x86_64",
        "device": "cpu",
        "recipes": dict.fromkeys(DEFAULT_RECIPES, "finite"),
        "adapter": "same",
        "seconds": 9.0,
    }
    return EvidenceLine.model_validate({**defaults, **fields})


def matrix(*lines: EvidenceLine) -> Matrix:
    wheels = Wheels(date="", releases={}, required=(), provided=())
    return Matrix(profiles=SHIPPED.profiles, issues=(), verdicts=compile_matrix(lines, (), wheels))
