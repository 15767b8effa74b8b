"""`python -m reports RUN... --out DIR`."""
# board: no

import sys

from device_configs.cli import run_room
from reports.cli import VERBS

if __name__ == "__main__":
    sys.exit(run_room(VERBS, "report"))
