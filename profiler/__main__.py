"""`python -m profiler [serve|profile] ...`."""

import sys

from device_configs.cli import run_room
from profiler.cli import VERBS

sys.exit(run_room(VERBS, "profile"))
