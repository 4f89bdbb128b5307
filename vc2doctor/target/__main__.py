"""Entry point: ``TARGET_PYTHON -B path/to/target --events FD …``.

This folder is taken off ``sys.path`` and loaded as a package of its own, so that neither its modules can
shadow a library of the target, nor the doctor's package has to be importable there.
"""

import faulthandler
import importlib.util
import os
import signal
import sys


def _load_package(name: str, folder: str) -> None:
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError("cannot load the worker from %s" % folder)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _main() -> int:
    # A crash leaves the stack on stderr; so does the doctor's SIGTERM when time is up, which says where it hung.
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != folder]
    _load_package("vc2doctor_target", folder)
    run = importlib.import_module("vc2doctor_target.probe.run")
    return int(run.main(sys.argv[1:]))


if __name__ == "__main__":
    code = _main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Taking torch down again costs most of a second, and tells nothing about training.
    os._exit(code)
