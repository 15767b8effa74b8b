"""`python -m device_configs [NAME]`."""

import sys

from device_configs.cli import VERBS, run_room

sys.exit(run_room(VERBS, "targets"))
