"""Entry point: ``TARGET_PYTHON -B path/to/target --events FD …``.

This folder is removed from ``sys.path``, so that its modules cannot shadow a library of the target. It is then loaded
as a package of its own, so that the target does not need vc2doctor.
"""

import faulthandler
import importlib.util
import os
import signal
import sys

PACKAGE = "vc2doctor_target"


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
    # A crash prints the stack to stderr. vc2doctor sends SIGTERM when time is up: that prints the stack as well, which
    # shows where the worker hung.
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != folder]
    _load_package(PACKAGE, folder)
    # The door ``ddp`` starts this program again, once for each of its processes.
    work = importlib.import_module(PACKAGE + (".probe.door_rank" if "--rank" in sys.argv else ".probe.run"))
    return int(work.main(sys.argv[1:]))


if __name__ == "__main__":
    code = _main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A normal exit lets torch clean up, which takes most of a second and changes no result.
    os._exit(code)
