"""The packaged photographs; their sources and licences are in docs/photographs.md."""

import os
from typing import List

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "photographs")


def default_photos() -> List[str]:
    """Paths of the packaged photographs, by name; `raccoon.jpg` is 640x480."""
    return sorted(
        os.path.join(_FOLDER, name) for name in os.listdir(_FOLDER) if name.endswith(".jpg")
    )
