"""The token that a board shows its server, kept in a file so that no list of processes shows it."""

from typing import Optional

from splitwatt.device_configs.errors import SplitwattError, UsageError


def read_token(path: Optional[str]) -> Optional[str]:
    """The token in a file, or None without a file.

    Raises:
        UsageError: the file holds no token.
        SplitwattError: the file cannot be read.
    """
    if path is None:
        return None
    try:
        with open(path, encoding="ascii") as stream:
            token = stream.read().strip()
    except (OSError, ValueError) as error:
        raise SplitwattError("the token file %s cannot be read: %s" % (path, error))
    # An empty one would be shown by everybody who shows none.
    if not token or not all(33 <= ord(c) <= 126 for c in token):
        what = "characters that no token has" if token else "no token"
        raise UsageError("the token file %s holds %s" % (path, what), "write one line of letters "
                         "and digits into it, or use 'splitwatt serve --lan'")  # fmt: skip
    return token
