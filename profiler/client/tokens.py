"""The token that a board shows its server, kept in a file so that no list of processes shows it."""

from typing import Optional

from splitwatt.device_configs.errors import UsageError
from splitwatt.device_configs.files import read_bounded

_LIMIT_BYTES = 4096
_REMEDY = "write one line of letters and digits into it, or use 'splitwatt serve --lan'"


def read_token(path: Optional[str]) -> Optional[str]:
    """The token in a file, or None without a file.

    Raises:
        UsageError: the file cannot be read or holds no token.
    """
    if path is None:
        return None
    try:
        token = read_bounded(path, _LIMIT_BYTES, UsageError, _REMEDY).decode("ascii").strip()
    except ValueError:
        raise UsageError("the token file %s is not ASCII text" % path, _REMEDY)
    # An empty one would be shown by everybody who shows none.
    if not token or not all(33 <= ord(c) <= 126 for c in token):
        what = "characters that no token has" if token else "no token"
        raise UsageError("the token file %s holds %s" % (path, what), _REMEDY)
    return token
