"""Whether a backend runs here: it opens one part, in a separate process, before anything is timed."""

import json
import subprocess
import sys
from typing import Dict, List, Sequence

from splitwatt.device_configs.child import module_command
from splitwatt.device_configs.errors import EngineError, SplitwattError
from splitwatt.engines.backends import load_engine
from splitwatt.profiler.config.bundles import Found

_MODULE = "profiler.execute.backend_here"


def check_backends_here(backends: Sequence[str], opened: Dict[str, Found]) -> None:
    """Raise EngineError where a backend besides `cpu` cannot run a part of the board here.

    The process ends with the check: what a GPU's driver sets up belongs to no block.
    """
    for backend in backends:
        if backend != "cpu":
            _check(backend, next(iter(opened.values())))


def _check(backend: str, first: Found) -> None:
    parts = [p.name for p in first.bundle.manifest.parts if p.placement != "server"]
    command = module_command(_MODULE, backend, first.bundle.part_path(parts[0]))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if done.returncode == 0:
        return
    try:
        error = json.loads(done.stdout.decode().splitlines()[-1])
        message, remedy = str(error["message"]), error["remedy"]
    except (ValueError, KeyError, IndexError, TypeError):
        message, remedy = "its process ended with exit code %d" % done.returncode, None
    raise EngineError("the backend '%s' does not run here: %s" % (backend, message), remedy)


def main(argv: List[str]) -> int:
    """Open the part at `argv[1]` on the backend `argv[0]`; print why not where that fails."""
    try:
        load_engine(argv[0], argv[1]).close()
    except SplitwattError as error:
        print(json.dumps({"message": error.message, "remedy": error.remedy}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
