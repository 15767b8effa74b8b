"""What evaluation has found so far, one image a line, so that a killed one goes on where it was."""

import json
import os
from typing import Any, Dict, List

from device_configs.errors import RunError
from device_configs.files import storage_error


class Records:
    """The lines of one evaluation: a heading that says of what, then an image a line.

    Args:
        path: the file; its folder is made.
        heading: what the evaluation is of; a file of another is begun anew.

    Attributes:
        found: image name -> its record.

    Raises:
        RunError, SplitwattError: the file cannot be read or written.
    """

    def __init__(self, path: str, heading: Dict[str, Any]) -> None:
        self._path = path
        self.found: Dict[str, Any] = {}
        lines = self._lines()
        sound = _sound(lines)
        if sound and sound[0] == heading:
            self.found = {row["name"]: row for row in sound[1:]}
        else:
            sound = [heading]
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            # What a kill left of the last line is cut off, then the rest is appended.
            temporary = path + ".new"
            with open(temporary, "w", encoding="utf-8") as stream:
                stream.writelines(json.dumps(row) + "\n" for row in sound)
            os.replace(temporary, path)
            self._stream = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        except OSError as error:
            raise storage_error(path, error)

    def add(self, record: Dict[str, Any]) -> None:
        """Keep an image's record; it is on its way to the disk when this returns."""
        try:
            self._stream.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as error:
            raise storage_error(self._path, error)
        self.found[record["name"]] = record

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _lines(self) -> List[str]:
        if not os.path.exists(self._path):
            return []
        try:
            with open(self._path, encoding="utf-8") as stream:
                return stream.read().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError("%s cannot be read: %s" % (self._path, error), "delete it")


def _sound(lines: List[str]) -> List[Any]:
    """The documents of the lines that were written whole."""
    documents = []
    for line in lines:
        try:
            documents.append(json.loads(line))
        except ValueError:
            break
    return documents
