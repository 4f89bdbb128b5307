"""Messages of the dynamic linker, as people report them, and what helps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.facts import GOOD, SITE, distribution, environment, examination, failure, interpreter, probe_run
from vc2doctor.checks import vc013_import
from vc2doctor.core.failure import Failure
from vc2doctor.environment.model import Environment
from vc2doctor.remedies.native_libraries import Explanation, explained

NVIDIA = ("nvidia-cudnn-cu12==9.1.0.70; platform_system == 'Linux'", "nvidia-cuda-runtime-cu12==12.4.127")
FLASH = f"{SITE}/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so"
PIP = "/env/bin/python -m pip install"


def facts(torch: str = "2.5.1", **fields: Any) -> Environment:  # noqa: ANN401
    others = {"flash-attn": "2.7.4.post1", "torchaudio": "2.4.0", "torchvision": "0.20.1", "bitsandbytes": "0.45.0"}
    return environment(
        distributions=(
            distribution("torch", torch, requires=NVIDIA),
            distribution("nvidia-cusparse-cu12", "12.3.1.170"),
            *(distribution(name, text) for name, text in others.items()),
        ),
        **fields,
    )


def of(message: str, package: str | None = None, torch: str = "2.5.1") -> Explanation:
    found = explained(facts(torch), failure(message, package=package))
    assert found is not None
    return found


def test_a_module_that_was_compiled_for_another_torch_is_compiled_again() -> None:
    found = of(f"{FLASH}: undefined symbol: _ZN3c104cuda9SetDeviceEi")
    assert found.remedy.startswith("flash-attn was compiled for another torch than 2.5.1. Install it again")
    options = "--no-build-isolation --no-deps --no-cache-dir --force-reinstall"
    assert found.commands == (f"{PIP} {options} flash-attn==2.7.4.post1",)


def test_without_pip_the_options_are_those_of_uv() -> None:
    message = f"{FLASH}: undefined symbol: _ZN2at4_ops5zeros4callEN3c108ArrayRefINS2_6SymIntEEE"
    found = explained(facts(interpreter=interpreter(has_pip=False)), failure(message))
    assert found is not None
    assert "--no-cache --reinstall flash-attn==2.7.4.post1" in found.commands[0]


def test_torchaudio_has_a_release_for_each_torch() -> None:
    found = of(f"{SITE}/torchaudio/lib/libtorchaudio.so: undefined symbol: _ZNK5torch8autograd4Node4nameEv")
    assert found.commands == (f"{PIP} torchaudio==2.5.1",)


@pytest.mark.parametrize(
    "message",
    [
        f"{SITE}/torch/lib/libtorch_cuda.so: undefined symbol: ncclCommRegister",
        f"{SITE}/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4",
    ],
)
def test_a_cuda_library_of_another_release_is_that_of_a_toolkit(message: str) -> None:
    found = of(message)
    assert "Unset LD_LIBRARY_PATH" in found.remedy
    assert found.commands == ()


def test_a_missing_library_of_torch_comes_from_the_wheel_that_torch_requires() -> None:
    found = of("libcudnn.so.9: cannot open shared object file: No such file or directory", "torch")
    assert found.remedy.startswith("libcudnn.so.9 belongs to nvidia-cudnn-cu12, which torch requires")
    assert found.commands == (f"{PIP} --ignore-installed --no-deps nvidia-cudnn-cu12==9.1.0.70",)


@pytest.mark.parametrize(("torch", "words"), [("2.5.1+cpu", "CPUs"), ("2.5.1+cu118", "CUDA 11.8")])
def test_a_package_for_another_cuda_is_named(torch: str, words: str) -> None:
    message = "libcudart.so.12: cannot open shared object file: No such file or directory"
    remedy = of(message, "bitsandbytes", torch).remedy
    assert remedy.startswith("bitsandbytes was compiled for another CUDA than torch: it looks for libcudart.so.12")
    assert f"this torch is for {words}." in remedy


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("libGL.so.1", "apt-get install libgl1. opencv-python-headless does not need it."),
        ("libglib-2.0.so.0", "apt-get install libglib2.0-0."),
        ("libstdc++.so.6", "apt-get install libstdc++6."),
        ("libfoo_bar.so.3", "libfoo_bar.so.3 is missing on this machine."),
        ("libcuda.so.1", "belongs to the NVIDIA driver"),
    ],
)
def test_a_missing_library_of_the_system(library: str, words: str) -> None:
    assert words in of(f"{library}: cannot open shared object file: No such file or directory", "cv2").remedy


def test_a_package_without_a_build_for_this_cuda_needs_a_newer_release() -> None:
    file = f"{SITE}/bitsandbytes/libbitsandbytes_cuda114.so"
    found = of(f"{file}: cannot open shared object file: No such file or directory")
    assert found.remedy.startswith("bitsandbytes 0.45.0 has no build for CUDA 11.4.")
    assert found.commands == (f"{PIP} --upgrade bitsandbytes",)


def test_a_file_of_a_package_that_is_missing_is_installed_again() -> None:
    found = of(f"{SITE}/torch/lib/libtorch_global_deps.so: cannot open shared object file: No such file or directory")
    assert found.commands == (f"{PIP} --ignore-installed --no-deps torch==2.5.1",)


def test_a_library_that_this_torch_does_not_have_is_one_of_another_torch() -> None:
    found = of("libtorch_cuda_cu.so: cannot open shared object file: No such file or directory", "selective_scan_cuda")
    assert found.remedy.startswith(
        "selective_scan_cuda was compiled for another torch: it looks for libtorch_cuda_cu.so"
    )


def test_cusparse_is_numbered_like_cuda() -> None:
    message = "libcusparse.so.11: cannot open shared object file: No such file or directory"
    assert "it looks for libcusparse.so.11, and this torch is for CUDA 12.4." in of(message, "bitsandbytes").remedy


def test_the_library_of_python_is_in_its_own_folder() -> None:
    found = of("libpython3.11.so.1.0: cannot open shared object file: No such file or directory")
    assert "LD_LIBRARY_PATH=/env/lib" in found.remedy


def test_a_system_that_is_too_old() -> None:
    found = of(
        "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by"
        f" {SITE}/bitsandbytes/libbitsandbytes_cuda121.so)"
    )
    assert found.remedy.startswith("bitsandbytes needs GLIBC_2.38, and the glibc that is loaded is older.")
    assert "This system has glibc 2.36." in found.remedy


def test_conda_can_bring_a_newer_standard_library() -> None:
    message = f"/lib64/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by {FLASH})"
    conda = facts(interpreter=interpreter(path="/conda/bin/python", prefix="/conda", kind="conda"))
    found = explained(conda, failure(message))
    assert found is not None
    assert found.commands == ("conda install --prefix /conda -c conda-forge 'libstdcxx-ng>=12'",)
    assert of(message).commands == ()
    assert of("/lib64/libstdc++.so.6: version `GLIBCXX_3.4.31' not found").remedy.startswith("a package needs GLIBCXX")


def test_the_memory_for_threads_is_given_to_what_is_loaded_first() -> None:
    file = f"{SITE}/torch/lib/libgomp-d22c30c5.so.1"
    assert of(f"{file}: cannot allocate memory in static TLS block").remedy.endswith(f"LD_PRELOAD={file}")


def test_a_damaged_file_is_installed_again() -> None:
    found = of(f"{SITE}/torch/lib/libtorch_cpu.so: file too short")
    assert found.commands == (f"{PIP} --ignore-installed --no-deps torch==2.5.1",)
    assert of("/elsewhere/libx.so: invalid ELF header").commands == ()


@pytest.mark.parametrize("message", ["", "it broke", "cannot open shared object file", "undefined symbol: x"])
def test_other_messages_are_not_explained(message: str) -> None:
    assert explained(facts(), failure(message)) is None


def test_the_finding_says_it() -> None:
    error = Failure(type="ImportError", message=f"{SITE}/torch/lib/libtorch_cpu.so: file too short", package="torch")
    probe = probe_run(import_failure=error, import_package="torch")
    (finding,) = vc013_import.check(examination(GOOD, probe=probe))
    assert finding.remedy.startswith("A file of torch is damaged")
    assert finding.commands == (f"{PIP} --ignore-installed --no-deps torch==2.13.0",)
