"""The files of CompressAI's published image codecs (its zoo's, trained for the mean square error)."""

from __future__ import annotations

PAGE = "https://compressai.s3.amazonaws.com/models/v1/"
# What CompressAI calls each codec in its files' names, and the files' hashes from quality 1 on.
_HASHES = {
    (
        "bmshj2018_factorized",
        "bmshj2018-factorized-prior",
    ): "446d5c7f 87279a02 5c6f152b 1ed4405a 866ba797 9b02ea3a 6dfd6734 5232faa3",
    (
        "bmshj2018_hyperprior",
        "bmshj2018-hyperprior",
    ): "7eb97409 93677231 6d87be32 de1b779c f8b614e1 1ab9c41e 3804dcbd a583f0cf",
    (
        "mbt2018_mean",
        "mbt2018-mean",
    ): "e522738d e54a039d 723404a8 6dba02a3 d504e8eb a19628ab d5d441d1 8089ae3e",
    (
        "mbt2018",
        "mbt2018",
    ): "3f36cd77 43b70cdd 22901978 456e2af9 b4a046dd 7052e5ea 8ba2bf82 dd0097aa",
    (
        "cheng2020_anchor",
        "cheng2020-anchor",
    ): "dad2ebff a29008eb e49be189 98b0b468 23852949 4c052b1a",
}
# name -> quality -> file
FILES = {
    name: {
        quality: f"{published}-{quality}-{hash}.pth.tar"
        for quality, hash in enumerate(hashes.split(), 1)
    }
    for (name, published), hashes in _HASHES.items()
}
