"""`python -m engines`: the verbs of this room."""

import sys

from device_configs.cli import run_room
from engines.cli import VERBS

sys.exit(run_room(VERBS, "verify"))
