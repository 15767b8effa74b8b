"""The bundle: the folder that an export writes, checked file by file before anything of it runs."""

import io
import json
import os
import zipfile
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from splitwatt.device_configs.errors import BundleError, SplitwattError
from splitwatt.device_configs.files import inside, sha256_file
from splitwatt.engines.bundle.manifest import Manifest, Sample
from splitwatt.engines.bundle.parts import Part
from splitwatt.engines.codecs import open_codec
from splitwatt.engines.codecs.base import Codec, EngineOf

MANIFEST = "manifest.json"
_MANIFEST_LIMIT_BYTES = 16 << 20
_AGAIN = "copy or export it again"


class SampleFiles(NamedTuple):
    """A photograph of a bundle and the arrays expected for it, as paths."""

    name: str
    photo: str
    expected: str


class Bundle:
    """An opened bundle. Loading one runs no code from it.

    Attributes:
        path: the folder.
        manifest: what manifest.json says, validated.
        manifest_sha256: of manifest.json's bytes; it names the bundle, as it holds every hash.
    """

    def __init__(self, path: str, manifest: Manifest, manifest_sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256

    @classmethod
    def open(cls, path: str, placement: Optional[str] = None) -> "Bundle":
        """Read the manifest and check the size and SHA-256 of every file that it names.

        Args:
            path: the bundle's folder.
            placement: "board" or "server" checks that end's parts only (with tables and samples):
                a board need not hold, nor read through, the hundreds of megabytes of a server.

        Raises:
            BundleError: no bundle there, a wrong manifest, a file that is missing, truncated,
                changed, or outside the folder.
        """
        path = str(path)
        manifest, digest = _read_manifest(path)
        bundle = cls(path, manifest, digest)
        for part in manifest.parts:
            location = bundle._inside(part.file)
            if placement is None or part.placement in (placement, "both"):
                _check_size(location, part.bytes)
                _check_sha256(location, part.sha256)
                if part.with_coder is not None:
                    _check_sha256(bundle._inside(part.with_coder.file), part.with_coder.sha256)
        if manifest.codec is not None:
            for tables in manifest.codec.tables:
                _check_sha256(bundle._inside(tables.file), tables.sha256)
        for sample in manifest.samples:
            _check_sha256(bundle._inside(sample.file), sample.sha256)
            _check_sha256(bundle._inside(sample.expected), sample.expected_sha256)
        return bundle

    def part(self, name: str) -> Part:
        """The manifest's entry of a part; BundleError when there is none."""
        return self.manifest.part(name)

    def part_path(self, name: str) -> str:
        """The ONNX file of a part."""
        return self._inside(self.part(name).file)

    def tensorrt_path(self, name: str) -> str:
        """The ONNX file that TensorRT builds a part from: the one with the coder, if there is one."""
        part = self.part(name)
        return self._inside(part.with_coder.file if part.with_coder else part.file)

    def codec(self, engine_of: EngineOf) -> Codec:
        """The codec of a split model, its tables loaded.

        Args:
            engine_of: gives the engine of a part by its name, for a codec that runs one.

        Raises:
            BundleError: the model has none, or its tables are not what the manifest says.
        """
        spec = self.manifest.codec
        if spec is None:
            raise BundleError("%s is a local model: it has no codec" % self.manifest.model)
        return open_codec(spec, [self._inside(t.file) for t in spec.tables], engine_of)

    def samples(self) -> List[SampleFiles]:
        """The photographs of the bundle and where their expected outputs lie."""
        return [self._sample(sample) for sample in self.manifest.samples]

    def _sample(self, sample: Sample) -> SampleFiles:
        name = os.path.basename(sample.file)
        return SampleFiles(name, self._inside(sample.file), self._inside(sample.expected))

    def _inside(self, name: str) -> str:
        try:
            return inside(self.path, name)
        except SplitwattError as error:
            raise BundleError("%s: %s" % (self._manifest_path(), error.message))

    def _manifest_path(self) -> str:
        return os.path.join(self.path, MANIFEST)


def load_arrays(path: str) -> Dict[str, np.ndarray]:
    """The arrays of an .npz file, which may hold no Python objects.

    Raises:
        BundleError: the file is no such archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise BundleError("%s is no archive of arrays: %s" % (path, error), _AGAIN)


def save_arrays(arrays: Dict[str, np.ndarray]) -> bytes:
    """The bytes of an .npz file with `arrays`; the same arrays give the same bytes."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _read_manifest(path: str) -> Tuple[Manifest, str]:
    file = os.path.join(path, MANIFEST)
    if not os.path.isfile(file):
        raise BundleError(
            "there is no bundle in %s: it has no %s" % (path, MANIFEST),
            "make one with splitwatt export",
        )
    if os.path.getsize(file) > _MANIFEST_LIMIT_BYTES:
        raise BundleError("%s is too large for a manifest" % file, _AGAIN)
    return Manifest.from_json(_read_json(file), file), sha256_file(file)


def _read_json(file: str) -> Any:
    try:
        with open(file, encoding="utf-8") as stream:
            return json.load(stream)
    except OSError as error:
        raise BundleError("%s cannot be read: %s" % (file, error.strerror))
    except (ValueError, RecursionError) as error:
        raise BundleError("%s is no JSON: %s" % (file, error), _AGAIN)


def _check_size(path: str, size: int) -> None:
    if not os.path.isfile(path):
        raise BundleError("%s is missing" % path, _AGAIN)
    found = os.path.getsize(path)
    if found != size:
        raise BundleError(
            "%s has %d bytes, not the %d that the manifest says" % (path, found, size), _AGAIN
        )


def _check_sha256(path: str, expected: str) -> None:
    if not os.path.isfile(path):
        raise BundleError("%s is missing" % path, _AGAIN)
    try:
        found = sha256_file(path)
    except OSError as error:
        raise BundleError("%s cannot be read: %s" % (path, error.strerror))
    if found != expected:
        raise BundleError(
            "%s is not the file that the manifest names: its SHA-256 is %s..., not %s..."
            % (path, found[:12], expected[:12]),
            _AGAIN,
        )
