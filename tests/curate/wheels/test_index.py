"""Requests to a package index over HTTP; the index runs in this process."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.version import Version

from tests.facts import SHIPPED
from vc2doctor.curate import run
from vc2doctor.curate.grid.cells import parse
from vc2doctor.curate.wheels import table
from vc2doctor.curate.wheels.__main__ import text_of
from vc2doctor.curate.wheels.index import ReleasesError, Wheel, download, requirements, wheels
from vc2doctor.curate.wheels.table import PackageSource
from vc2doctor.matrix.releases import Wheels, to_ranges

FILES = {
    "peft": [
        "peft-0.1.0-py3-none-any.whl",
        "peft-0.2.0-py3-none-any.whl",
        "peft-0.2.0.tar.gz",
        "peft-0.3.0rc1-py3-none-any.whl",
    ],
    "transformers": [f"transformers-{version}-py3-none-any.whl" for version in ("4.9.0", "4.10.0")],
    "torch": [
        "torch-2.0.0-cp310-cp310-manylinux1_x86_64.whl",
        "torch-2.0.0-cp311-cp311-manylinux1_x86_64.whl",
        "torch-2.0.0-cp312-none-macosx_11_0_arm64.whl",
    ],
}
SENT: list[int] = []
"""Lengths of the ranges that the index sent, in bytes."""
MODULES = {
    "native-1.0": {
        "native/lib.so": "0" * 4_000_000,
        "native/__init__.py": "import torch\n",
        "native/z.so": "1" * 900_000,
    },
    "peft-0.1.0": {"peft/__init__.py": "from transformers import Old\n"},
    "peft-0.2.0": {"peft/__init__.py": "from transformers import New, Old\n"},
    "transformers-4.9.0": {"transformers/__init__.py": "Old = 1\n"},
    "transformers-4.10.0": {"transformers/__init__.py": "Old = New = 1\n"},
}


def wheel_of(name: str, folder: Path) -> bytes:
    """Return a wheel; its files are not compressed, so that their sizes are known."""
    path = folder / name
    release = "-".join(name.split("-")[:2])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in MODULES[release].items():
            wheel.writestr(file, text)
        wheel.writestr(f"{release}.dist-info/METADATA", "Requires-Dist: tokenizers<0.14\n\n")
    return path.read_bytes()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    served = tmp_path / "served"
    served.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").split("/")[-1]
            if name.endswith(".whl") and "Range" in self.headers:
                self._answer_range(wheel_of(name, served))
            elif name.endswith(".whl"):
                self._answer(200, wheel_of(name, served))
            elif name.endswith(".metadata"):
                self._answer(200, b"Requires-Dist: torch==2.0\n\n")
            elif name in FILES:
                files = [
                    {
                        "filename": file,
                        "url": f"http://{self.headers['Host']}/files/{file}",
                        "upload-time": "2024-05-06T07:08:09Z",
                        "requires-python": ">=3.8",
                    }
                    for file in FILES[name]
                ]
                self._answer(200, json.dumps({"files": files}).encode())
            else:
                self._answer(404, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer_range(self, body: bytes) -> None:
            start, stop = self.headers["Range"].removeprefix("bytes=").split("-")
            sent = body[int(start) : int(stop) + 1]
            SENT.append(len(sent))
            self._answer(206, sent)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/simple"
        monkeypatch.setenv("PIP_INDEX_URL", url)
        yield url
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("index")
def test_the_wheels_of_final_releases_are_in_order() -> None:
    assert [wheel.version for wheel in wheels("transformers")] == ["4.9.0", "4.10.0"]
    assert [wheel.version for wheel in wheels("peft")] == ["0.1.0", "0.2.0"]
    assert wheels("peft")[0].uploaded == "2024-05-06"


@pytest.mark.usefixtures("index")
def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ReleasesError, match="nobody: the package index cannot be read"):
        wheels("nobody")


def test_a_failed_download_leaves_no_file(index: str, tmp_path: Path) -> None:
    url = f"{index}/gone-1-py3-none-any.tar"
    wheel = Wheel(name="gone", version="1", url=url, uploaded="", requires_python=None, tags=(), yanked=False)
    with pytest.raises(ReleasesError, match="cannot be downloaded"):
        download(wheel, tmp_path)
    assert not list(tmp_path.glob("gone*"))


def test_of_a_wheel_with_compiled_code_only_the_sources_are_downloaded(index: str, tmp_path: Path) -> None:
    name = "native-1.0-cp311-cp311-manylinux1_x86_64.whl"
    size = len(wheel_of(name, tmp_path))
    (tmp_path / name).unlink()
    SENT.clear()
    wheel = Wheel(
        name="native",
        version="1.0",
        url=f"{index}/{name}",
        uploaded="",
        requires_python=None,
        tags=("cp311-cp311-manylinux1_x86_64",),
        yanked=False,
        size=size,
    )
    with zipfile.ZipFile(download(wheel, tmp_path)) as sources:
        assert sources.namelist() == ["native/__init__.py", "native-1.0.dist-info/METADATA"]
        assert sources.read("native/__init__.py") == b"import torch\n"
    assert sum(SENT) < size / 2


@pytest.mark.usefixtures("index")
def test_declared_requirements_come_from_the_metadata_that_the_index_serves(index: str, tmp_path: Path) -> None:
    known, unknown = (
        Wheel(
            name="x",
            version="1",
            url=f"{index}/x-1.tar.gz",
            uploaded="",
            requires_python=None,
            tags=(),
            yanked=False,
            has_metadata=has_metadata,
        )
        for has_metadata in (True, False)
    )
    assert requirements([unknown, known], tmp_path) == ["torch==2.0"]
    assert requirements([unknown], tmp_path) == []


@pytest.mark.usefixtures("index")
def test_the_table_has_required_and_provided_symbols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = (
        PackageSource("peft", "0.0"),
        PackageSource("transformers", "0.0"),
        PackageSource("torch", "0.0", is_opened=False),
    )
    monkeypatch.setattr(table, "SOURCES", sources)
    content = table.read_all(tmp_path, lambda _: None)
    (required,) = content.required
    assert (required.package, required.module, required.symbol, required.releases) == (
        "peft",
        "transformers",
        "New",
        (("0.2.0", "0.2.0"),),
    )
    assert [provided.releases for provided in content.provided] == [(("4.10.0", "4.10.0"),)]
    assert content.releases["torch"]["2.0.0"].built_for == ("3.10", "3.11")
    assert content.releases["peft"]["0.1.0"].requires == {"tokenizers": "<0.14"}
    lines = text_of(content).splitlines()
    releases = ("0.1.0", "0.2.0", "4.9.0", "4.10.0", "2.0.0")
    assert [line.partition(":")[0] for line in lines[1:]] == [f'"{text}"' for text in releases]
    assert Wheels.model_validate_json("".join(lines)) == content


@pytest.mark.usefixtures("index")
def test_newer_releases_become_cells_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "peft", [*FILES["peft"], "peft-99.0.0-py3-none-any.whl"])
    (line,) = run.newer_releases(None)
    assert "peft 99.0.0 is newer than the evidence" in line
    cell = parse(line.partition("#")[0]).cell
    assert cell.peft == "99.0.0"
    assert cell.transformers == max((known.transformers for known in SHIPPED.verdicts.cells), key=Version)


def test_selected_releases_become_ranges_of_consecutive_ones() -> None:
    assert to_ranges({"1", "2", "4"}, ("1", "2", "3", "4")) == (("1", "2"), ("4", "4"))
