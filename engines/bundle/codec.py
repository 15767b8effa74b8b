"""What codes a bundle's latent or image: the manifest's key `codec`."""

from typing import List, NamedTuple, Optional

from splitwatt.engines.bundle.fields import Fields

# Kinds of codecs, and how many files of tables each has.
CODECS = {
    "rangecoder": 1,
    "hyperprior": 2,
    "autoregressive": 2,
    "quantized": 0,
    "feature_jpeg": 0,
    "feature_webp": 0,
    "png": 0,
    "jpeg": 0,
    "webp": 0,
    "bpg": 0,
    "heic": 0,
}


class TablesFile(NamedTuple):
    """A file of entropy tables; `id` is what every bitstream under them repeats."""

    file: str
    sha256: str
    id: str

    @classmethod
    def from_json(cls, fields: Fields) -> "TablesFile":
        """Read one entry."""
        tables = cls(fields.text("file"), fields.digest("sha256"), fields.text("id"))
        fields.done()
        return tables


class CodecSpec(NamedTuple):
    """What turns a latent, or an image, into bytes and back.

    tables: what both ends need: one for a factorized prior; for a hyperprior those of the hyper
        latent, then those of the latent; none for an image's codec.
    quality: of an image's codec, in that codec's own scale; None elsewhere.
    """

    kind: str
    tables: List[TablesFile]
    quality: Optional[int]

    @classmethod
    def from_json(cls, fields: Fields) -> "CodecSpec":
        """Read the key `codec`."""
        kind = fields.text("kind", tuple(CODECS))
        tables = [TablesFile.from_json(entry) for entry in fields.objects("tables")]
        if len(tables) != CODECS[kind]:
            raise fields.wrong("tables", "a list of %d" % CODECS[kind], [t.file for t in tables])
        codec = cls(kind, tables, fields.optional("quality", fields.integer))
        fields.done()
        return codec

    @property
    def tables_id(self) -> Optional[str]:
        """The ids of all its tables, None where it has none: both ends must have the same."""
        return "+".join(tables.id for tables in self.tables) or None
