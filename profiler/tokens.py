"""The token that a board shows its server, kept in a file so that no list of processes shows it."""

from typing import Optional

from device_configs.errors import SplitwattError


def read_token(path: Optional[str]) -> Optional[str]:
    """The token in a file, or None without a file.

    Raises:
        SplitwattError: the file cannot be read.
    """
    if path is None:
        return None
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except (OSError, ValueError) as error:
        raise SplitwattError("the token file %s cannot be read: %s" % (path, error))
