"""The bundle: the folder that an export writes. Every file is checked before anything runs."""

import glob
import hashlib
import os
from typing import List, NamedTuple, Optional, Set, Tuple

from splitwatt.device_configs.errors import BundleError, SplitwattError
from splitwatt.device_configs.files import inside, read_bounded, sha256_file
from splitwatt.device_configs.input.strict_json import parse_json
from splitwatt.engines.bundle.arrays import MAX_BYTES, archive_limit
from splitwatt.engines.bundle.graph_file import check_graph_file
from splitwatt.engines.bundle.manifest import Manifest, Part

MANIFEST = "manifest.json"
MANIFEST_LIMIT_BYTES = 4 << 20
_PHOTO_LIMIT_BYTES = 1 << 30
_AGAIN = "copy or export it again"


def bundles_in(folder: str) -> List[str]:
    """The folder itself, or the bundles in it, or in the folders of its targets."""
    for pattern in ("", "*", os.path.join("*", "*")):
        paths = glob.glob(os.path.join(glob.escape(folder), pattern, MANIFEST))
        if paths:
            return sorted(os.path.dirname(path) for path in paths) if pattern else [folder]
    return [folder]


class SampleFiles(NamedTuple):
    """A photograph of a bundle and the arrays expected for it, as paths."""

    name: str
    photo: str
    expected: str


class Bundle:
    """An opened bundle. Loading one runs no code from it.

    Attributes:
        path: the folder.
        manifest: the content of manifest.json, checked.
        manifest_sha256: the hash of manifest.json; it identifies the bundle, because manifest.json
            holds the hashes of all other files.
    """

    def __init__(self, path: str, manifest: Manifest, manifest_sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256
        self._checked: Set[str] = set()

    @classmethod
    def open(cls, path: str, placement: Optional[str] = None) -> "Bundle":
        """Read the manifest and check the files that it names: sizes, SHA-256, no external data.

        Args:
            path: the bundle's folder.
            placement: "board" or "server" checks only that end's parts (and tables and samples), so
                a board does not need a server's hundreds of megabytes. Other parts are checked when
                their paths are requested.

        Raises:
            BundleError: there is no bundle, the manifest is wrong, a file is missing, truncated,
                changed or outside the folder, or a graph keeps data in another file.
        """
        path = str(path)
        bundle = cls(path, *_read_manifest(path))
        for part in bundle.manifest.parts:
            bundle._inside(part.file)
            if placement is None or part.placement in (placement, "both"):
                bundle.part_path(part.name)
                bundle.tensorrt_path(part.name)
        for tables in bundle.manifest.codec.tables if bundle.manifest.codec else []:
            limit = archive_limit(tables.unpacked_bytes or MAX_BYTES)
            _check_sha256(bundle._inside(tables.file), tables.sha256, limit)
        for sample in bundle.manifest.samples:
            _check_sha256(bundle._inside(sample.file), sample.sha256, _PHOTO_LIMIT_BYTES)
            expected = bundle._inside(sample.expected)
            _check_sha256(expected, sample.expected_sha256, archive_limit(MAX_BYTES))
        return bundle

    @property
    def half(self) -> bool:
        """Whether this is a board's half of a bundle, without any of the server's files."""
        server = [part for part in self.manifest.parts if part.placement == "server"]
        return bool(server) and not any(os.path.exists(self._inside(p.file)) for p in server)

    def part(self, name: str) -> Part:
        """The manifest's entry of a part; BundleError if there is no such part."""
        return self.manifest.part(name)

    def part_path(self, name: str) -> str:
        """The ONNX file of a part, checked; BundleError as in `open`."""
        part = self.part(name)
        return self._graph(part.file, part.sha256, part.bytes)

    def tensorrt_path(self, name: str) -> str:
        """The ONNX file that TensorRT builds a part from: the one with the coder, if it exists."""
        part = self.part(name)
        return self._graph(*part.with_coder) if part.with_coder else self.part_path(name)

    def tables_paths(self) -> List[str]:
        """The files of the codec's entropy tables, in the manifest's order."""
        codec = self.manifest.codec
        return [] if codec is None else [self._inside(tables.file) for tables in codec.tables]

    def files(self, without: Optional[str] = None) -> List[str]:
        """Names of the bundle's files; `without` "server" leaves out the graphs of that end.

        Its folder may hold others, such as engines.
        """
        manifest = self.manifest
        names = [MANIFEST]
        for part in manifest.parts:
            if part.placement != without:
                names.append(part.file)
                names += [part.with_coder.file] if part.with_coder else []
        names += [tables.file for tables in manifest.codec.tables] if manifest.codec else []
        for sample in manifest.samples:
            names += [sample.file, sample.expected]
        return list(dict.fromkeys(names))

    def samples(self) -> List[SampleFiles]:
        """The photographs of the bundle and the files of their expected outputs."""
        return [
            SampleFiles(os.path.basename(s.file), self._inside(s.file), self._inside(s.expected))
            for s in self.manifest.samples
        ]

    def _graph(self, file: str, sha256: str, size: int) -> str:
        path = self._inside(file)
        if path not in self._checked:
            actual = os.path.getsize(path) if os.path.isfile(path) else size
            if actual != size:
                raise BundleError(
                    "%s has %d bytes; the manifest states %d" % (path, actual, size), _AGAIN
                )
            _check_sha256(path, sha256, size)
            check_graph_file(path)
            self._checked.add(path)
        return path

    def _inside(self, name: str) -> str:
        try:
            return inside(self.path, name)
        except SplitwattError as error:
            raise BundleError("%s: %s" % (os.path.join(self.path, MANIFEST), error.message))


def _read_manifest(path: str) -> Tuple[Manifest, str]:
    file = os.path.join(path, MANIFEST)
    if not os.path.isfile(file):
        raise BundleError(
            "there is no bundle in %s: it has no %s" % (path, MANIFEST),
            "make one with splitwatt export",
        )
    data = read_bounded(file, MANIFEST_LIMIT_BYTES, BundleError, _AGAIN)
    document = parse_json(data, file, BundleError, _AGAIN)
    return Manifest.from_json(document, file), hashlib.sha256(data).hexdigest()


def _check_sha256(path: str, expected: str, limit_bytes: int) -> None:
    if not os.path.isfile(path):
        raise BundleError("%s is missing" % path, _AGAIN)
    actual = sha256_file(path, limit_bytes, BundleError)
    if actual != expected:
        raise BundleError(
            "%s is not the file that the manifest names: its SHA-256 is %s..., not %s..."
            % (path, actual[:12], expected[:12]),
            _AGAIN,
        )
