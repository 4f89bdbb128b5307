"""The integrations that ``vc2doctor init`` knows: one entry each, with its template in ``vc2doctor/templates``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vc2doctor.core import reading
from vc2doctor.core.data import Data

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
MAX_SCRIPTS = 200
"""Files of a project's root that are read to find out which systems it uses."""
MAX_SCRIPT_BYTES = 256 * 1024

Tested = Literal["executed", "validated"]
"""``executed``: the tests of vc2doctor run it; ``validated``: they only check it against a schema or a parser."""


class Integration(Data):
    """One file that a project can have."""

    name: str
    template: str
    path: str
    """Where the file belongs, relative to the project."""
    signs: tuple[str, ...] = ()
    """Files or folders of a project that uses this system; patterns of ``glob``."""
    words: tuple[str, ...] = ()
    """Words in a file of the project's root that show the same."""
    tested: Tested
    purpose: str
    executable: bool = False

    @property
    def text(self) -> str:
        """The content of the template.

        Raises:
            ReadError: the doctor is not installed completely.
        """
        return reading.read_text(TEMPLATES / self.template)


INTEGRATIONS = (
    Integration(
        name="github",
        template="github.yml",
        path=".github/workflows/vc2doctor.yml",
        signs=(".github",),
        tested="executed",
        purpose="a GitHub workflow that checks the environment and the code of each change",
    ),
    Integration(
        name="github-cells",
        template="github-cells.yml",
        path=".github/workflows/vc2doctor-cells.yml",
        words=("vc2doctor.nox",),
        tested="validated",
        purpose="a GitHub workflow that spreads the cells of the noxfile over jobs, and compiles your matrix",
    ),
    Integration(
        name="pre-commit",
        template="pre-commit.yml",
        path=".pre-commit-config.yaml",
        signs=(".pre-commit-config.yaml",),
        tested="executed",
        purpose="a hook of pre-commit that lints the training code",
    ),
    Integration(
        name="gitlab",
        template="gitlab.yml",
        path=".gitlab/vc2doctor.yml",
        signs=(".gitlab-ci.yml",),
        tested="validated",
        purpose="a GitLab job with code quality and test reports",
    ),
    Integration(
        name="nox",
        template="noxfile.py.txt",
        path="noxfile.py",
        signs=("noxfile.py",),
        tested="executed",
        purpose="nox sessions: the check, and the grid over your own versions",
    ),
    Integration(
        name="tox",
        template="tox.ini",
        path="tox.ini",
        signs=("tox.ini",),
        tested="executed",
        purpose="a tox environment that is checked",
    ),
    Integration(
        name="slurm-prolog",
        template="slurm-prolog.sh",
        path="slurm/vc2doctor-prolog.sh",
        words=("#SBATCH",),
        tested="executed",
        purpose="a Slurm task prolog that ends a task whose environment is not fit",
        executable=True,
    ),
    Integration(
        name="slurm-job",
        template="slurm-job.sh",
        path="slurm/train.sbatch",
        words=("#SBATCH",),
        tested="executed",
        purpose="a Slurm job script with the gate before the training command",
        executable=True,
    ),
    Integration(
        name="kubernetes",
        template="kubernetes.yml",
        path="kubernetes/train-job.yml",
        words=("apiVersion: batch/", "apiVersion: v1", "kubeflow.org/"),
        tested="validated",
        purpose="a Kubernetes job with an init container that checks",
    ),
    Integration(
        name="kueue",
        template="kueue.yml",
        path="kubernetes/train-kueue.yml",
        words=("kueue.x-k8s.io",),
        tested="validated",
        purpose="a Kueue job with the gate before the training command",
    ),
    Integration(
        name="argo",
        template="argo.yml",
        path="kubernetes/train-workflow.yml",
        words=("argoproj.io/",),
        tested="validated",
        purpose="an Argo workflow whose training step depends on the check",
    ),
    Integration(
        name="docker",
        template="Dockerfile",
        path="Dockerfile",
        signs=("Dockerfile",),
        tested="validated",
        purpose="an image that is built only if its versions train, with the gate as entry point",
    ),
    Integration(
        name="devcontainer",
        template="devcontainer.json",
        path=".devcontainer/devcontainer.json",
        signs=(".devcontainer",),
        tested="validated",
        purpose="a development container that checks its environment at each start",
    ),
)


def requested_by(folder: Path) -> Iterator[tuple[Integration, str]]:
    """Yield the integrations that a project shows signs of, each with the file or folder that shows it."""
    texts = _texts(folder)
    for integration in INTEGRATIONS:
        sign = _sign(integration, folder, texts)
        if sign is not None:
            yield integration, sign


def _sign(integration: Integration, folder: Path, texts: dict[str, str]) -> str | None:
    for name in integration.signs:
        if (folder / name).exists():
            return name
    return next((name for name, text in texts.items() if any(word in text for word in integration.words)), None)


def _texts(folder: Path) -> dict[str, str]:
    """Return the texts of the files in a folder and in its folders for scripts and manifests, by relative path.

    The text of a file that is too large is empty.
    """
    files = sorted(
        path
        for pattern in ("*", "scripts/*", "slurm/*", "kubernetes/*", "k8s/*", "deploy/*")
        for path in folder.glob(pattern)
        if path.suffix in (".sh", ".sbatch", ".slurm", ".py", ".yml", ".yaml", "") and path.is_file()
    )
    return {
        path.relative_to(folder).as_posix(): reading.text_or_empty(path, MAX_SCRIPT_BYTES)
        for path in files[:MAX_SCRIPTS]
    }
