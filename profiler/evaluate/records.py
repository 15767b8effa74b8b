"""What evaluation has found so far, one image a line, so that a killed one goes on where it was."""

import hashlib
import json
import os
from typing import IO, Any, Dict, List, Sequence, Tuple

from splitwatt.device_configs.errors import RunError
from splitwatt.device_configs.files import storage_error


class Records:
    """The lines of one evaluation: a heading that says of what, then an image a line.

    Args:
        path: the file; its folder is made.
        heading: what the evaluation is of; a file of another is begun anew.

    Attributes:
        path: the file.
        found: image name -> its record.

    Raises:
        RunError, SplitwattError: the file cannot be read or written.
    """

    def __init__(self, path: str, heading: Dict[str, Any]) -> None:
        self.path = path
        self._heading = heading
        self.found: Dict[str, Any] = {}
        lines = self._lines()
        sound = _sound(lines)
        if sound and sound[0] == heading:
            self.found = {row["name"]: row for row in sound[1:]}
        else:
            sound = [heading]
        # What a kill left of the last line is cut off, then the rest is appended.
        self._stream = _written(path, sound)

    def add(self, record: Dict[str, Any]) -> None:
        """Keep an image's record; it is on its way to the disk when this returns."""
        try:
            self._stream.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as error:
            raise storage_error(self.path, error)
        self.found[record["name"]] = record

    def settle(self, names: Sequence[str], whole: bool) -> Tuple[str, str]:
        """Put the records of these images first in the file, in this order: a figure is of the first so
        many lines, whatever another evaluation adds after them. Those of a part of a data set go into
        a file of their own.

        Returns:
            The file's path, and the SHA-256 of the heading and those lines.
        """
        first = [self._heading] + [self.found[name] for name in names]
        path = self.path
        if whole:
            counted = set(names)
            rest = [row for name, row in self.found.items() if name not in counted]
            self.close()
            self._stream = _written(path, first + rest)
        else:
            path = "%s-first-%d.jsonl" % (os.path.splitext(self.path)[0], len(names))
            _written(path, first).close()
        text = "".join(json.dumps(row) + "\n" for row in first)
        return path, hashlib.sha256(text.encode("utf-8")).hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _lines(self) -> List[str]:
        if not os.path.exists(self.path):
            return []
        try:
            with open(self.path, encoding="utf-8") as stream:
                return stream.read().split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError("%s cannot be read: %s" % (self.path, error), "delete it")


def _sound(lines: List[str]) -> List[Any]:
    """The documents of the lines that were written whole."""
    documents = []
    for line in lines:
        try:
            documents.append(json.loads(line))
        except ValueError:
            break
    return documents


def _written(path: str, rows: List[Any]) -> IO[str]:
    """The file with these lines instead of what it held, open for more."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = path + ".new"
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
        os.replace(temporary, path)
        return open(path, "a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise storage_error(path, error)
