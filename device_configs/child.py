"""Starts Python processes that run the same installation of splitwatt as their parent."""

import sys
from typing import List

import splitwatt

# `python -m` would put the working directory first, and PYTHONPATH may name a folder with another
# `splitwatt`. So a child loads the package from its parent's path.
_START = (
    "import sys, runpy, importlib.util as util\n"
    "sys.path[:1] = [] if sys.path[0] == '' else sys.path[:1]\n"
    "spec = util.spec_from_file_location('splitwatt', %r, submodule_search_locations=%r)\n"
    "sys.modules['splitwatt'] = package = util.module_from_spec(spec)\n"
    "spec.loader.exec_module(package)\n"
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)\n"
)


def module_command(module: str, *arguments: str) -> List[str]:
    """The command that runs a module of splitwatt in another process of this Python.

    Args:
        module: its name below `splitwatt`, as `engines.tensorrt.building.build_part`.
        arguments: the module's arguments.
    """
    start = _START % (splitwatt.__file__, list(splitwatt.__path__))
    # The module is a separate word, so that a list of processes shows it.
    return [sys.executable, "-c", start, "splitwatt." + module] + list(arguments)
