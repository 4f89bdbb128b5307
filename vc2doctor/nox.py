"""Run the grid over your own versions, in your own noxfile.

    from vc2doctor.nox import cells

    cells(
        python=["3.11"],
        torch=["2.13.0"],
        transformers=["5.23.0", "4.57.6"],
        peft=["0.21.2"],
        matrix="matrices",
    )

This adds three kinds of sessions:

* ``cells(…)``, one for each combination: build a fresh environment with uv, train in it, and add one line of evidence
  to ``matrices/evidence/own.jsonl``.
* ``cells-compile``: compile the verdicts, so that ``vc2doctor check --matrix matrices`` judges by your cells too.
  Evidence files behind ``--`` are merged first: those of the jobs that the cells were spread over.
* ``cells-github``: print the matrix of a workflow of GitHub Actions, which spreads the cells over jobs.

The folder is made as a copy of the shipped matrix when it does not exist. The environment that runs nox needs the
extra ``nox``: ``pip install 'vc2doctor[nox]'``.
"""

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import nox

from vc2doctor.curate import own, spread
from vc2doctor.curate.grid.cells import CellSpec, parse

__all__ = ["cells"]


def cells(  # noqa: PLR0913 - the axes of a cell
    *texts: str,
    python: Iterable[str] = (),
    torch: Iterable[str] = (),
    transformers: Iterable[str] = (),
    peft: Iterable[str] = (),
    extras: Iterable[str] = (),
    matrix: str | os.PathLike[str] = "matrices",
    device: str = "cpu",
    interpreters: Mapping[str, str] | None = None,
    name: str = "cells",
) -> tuple[CellSpec, ...]:
    """Add sessions that measure cells to the noxfile that calls this, and return the cells.

    ``texts`` are single cells, such as ``"python=3.11 torch=2.13.0 transformers=4.40.1 peft=0.10.0 numpy<2"``. The
    axes add every combination of their versions, with ``extras`` as further requirements. ``matrix`` is the folder of
    your matrix, relative to the noxfile. ``interpreters`` says which Python a minor version is; by default uv finds it.
    The sessions do not run if nox is started without naming them.

    Raises:
        CellSpecError: a text or a version does not specify a cell.
        ValueError: there is no cell.
    """
    axes = {"python": python, "torch": torch, "transformers": transformers, "peft": peft}
    words = [[f"{axis}={version}" for version in versions] for axis, versions in axes.items()]
    specs = [parse(text) for text in (*texts, *(" ".join((*cell, *extras)) for cell in itertools.product(*words)))]
    if not specs:
        message = "there is no cell: name python, torch, transformers and peft, each with at least one version"
        raise ValueError(message)
    unique = tuple({spec.key: spec for spec in specs}.values())
    _add_sessions(name, unique, Path(matrix), device, dict(interpreters or {}))
    return unique


def _add_sessions(
    name: str, specs: tuple[CellSpec, ...], folder: Path, device: str, interpreters: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "vc2doctor"]
    grid = [sys.executable, "-m", "vc2doctor.curate.grid", "measure"]
    options = ["--into", str(folder / own.EVIDENCE), "--device", device, "--interpreters", json.dumps(interpreters)]

    @nox.parametrize("cell", [nox.param(spec, id=spec.name) for spec in specs])
    def measure(session: nox.Session, cell: CellSpec) -> None:
        """Measure a cell in a fresh environment and add it to the evidence of your matrix."""
        own.make(folder)
        session.run(*grid, *options, *session.posargs, cell.line, external=True, env=_with_uv())

    def compile_(session: nox.Session) -> None:
        """Compile your evidence into verdicts, after merging the evidence files behind ``--``."""
        own.make(folder)
        if session.posargs:
            into = str(folder / own.EVIDENCE)
            session.run(*command, "matrix", "merge", *session.posargs, "--into", into, external=True)
        session.run(*command, "matrix", "compile", "--matrix", str(folder), external=True)

    def github(_: nox.Session) -> None:
        """Print the cells that are not measured yet as the matrix of a job of GitHub Actions: ``matrix={…}``."""
        sessions = [f"{name}({spec.name})" for spec in own.unmeasured(list(specs), folder)]
        sys.stdout.write(f"matrix={json.dumps(spread.github_matrix(sessions))}\n")

    _add(measure, name)
    _add(compile_, f"{name}-compile")
    _add(github, f"{name}-github")


def _add(function: Callable[..., None], name: str) -> None:
    """Add a session that needs no environment of its own: the grid makes one for each cell."""
    nox.session(name=name, venv_backend="none", default=False)(function)


def _with_uv() -> dict[str, str]:
    """Return a ``PATH`` on which the ``uv`` of the environment that runs nox is found."""
    return {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))}
