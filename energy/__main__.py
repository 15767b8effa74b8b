"""`python -m energy read | watch | record | integrate | serve`."""

import sys

from device_configs.cli import guarded
from energy.cli import energy

sys.exit(guarded(energy, sys.argv[1:]))
