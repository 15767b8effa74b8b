"""`python -m export ...`: the verbs of this room."""

import sys

from device_configs.cli import run_room
from export.cli import VERBS

if __name__ == "__main__":
    sys.exit(run_room(VERBS, "export"))
