"""The files of CompressAI's published image codecs (its zoo's, trained for the mean square error)."""

from __future__ import annotations

PAGE = "https://compressai.s3.amazonaws.com/models/v1/"
# name -> quality -> file
FILES = {
    "bmshj2018_factorized": {
        1: "bmshj2018-factorized-prior-1-446d5c7f.pth.tar",
        2: "bmshj2018-factorized-prior-2-87279a02.pth.tar",
        3: "bmshj2018-factorized-prior-3-5c6f152b.pth.tar",
        4: "bmshj2018-factorized-prior-4-1ed4405a.pth.tar",
        5: "bmshj2018-factorized-prior-5-866ba797.pth.tar",
        6: "bmshj2018-factorized-prior-6-9b02ea3a.pth.tar",
        7: "bmshj2018-factorized-prior-7-6dfd6734.pth.tar",
        8: "bmshj2018-factorized-prior-8-5232faa3.pth.tar",
    },
    "bmshj2018_hyperprior": {
        1: "bmshj2018-hyperprior-1-7eb97409.pth.tar",
        2: "bmshj2018-hyperprior-2-93677231.pth.tar",
        3: "bmshj2018-hyperprior-3-6d87be32.pth.tar",
        4: "bmshj2018-hyperprior-4-de1b779c.pth.tar",
        5: "bmshj2018-hyperprior-5-f8b614e1.pth.tar",
        6: "bmshj2018-hyperprior-6-1ab9c41e.pth.tar",
        7: "bmshj2018-hyperprior-7-3804dcbd.pth.tar",
        8: "bmshj2018-hyperprior-8-a583f0cf.pth.tar",
    },
    "mbt2018_mean": {
        1: "mbt2018-mean-1-e522738d.pth.tar",
        2: "mbt2018-mean-2-e54a039d.pth.tar",
        3: "mbt2018-mean-3-723404a8.pth.tar",
        4: "mbt2018-mean-4-6dba02a3.pth.tar",
        5: "mbt2018-mean-5-d504e8eb.pth.tar",
        6: "mbt2018-mean-6-a19628ab.pth.tar",
        7: "mbt2018-mean-7-d5d441d1.pth.tar",
        8: "mbt2018-mean-8-8089ae3e.pth.tar",
    },
    "mbt2018": {
        1: "mbt2018-1-3f36cd77.pth.tar",
        2: "mbt2018-2-43b70cdd.pth.tar",
        3: "mbt2018-3-22901978.pth.tar",
        4: "mbt2018-4-456e2af9.pth.tar",
        5: "mbt2018-5-b4a046dd.pth.tar",
        6: "mbt2018-6-7052e5ea.pth.tar",
        7: "mbt2018-7-8ba2bf82.pth.tar",
        8: "mbt2018-8-dd0097aa.pth.tar",
    },
    "cheng2020_anchor": {
        1: "cheng2020-anchor-1-dad2ebff.pth.tar",
        2: "cheng2020-anchor-2-a29008eb.pth.tar",
        3: "cheng2020-anchor-3-e49be189.pth.tar",
        4: "cheng2020-anchor-4-98b0b468.pth.tar",
        5: "cheng2020-anchor-5-23852949.pth.tar",
        6: "cheng2020-anchor-6-4c052b1a.pth.tar",
    },
}
