"""Short names of models, so that slow links need not carry long ones with every image.

A server that lists `SHORT_NAMES` among its extensions takes `short_name(model)` in place of a model
in `/v2/models/MODEL/infer`. Names that are no longer than that have none, and so have two models
whose short names were the same.
"""

import zlib
from typing import Dict, Iterable, List, Optional

SHORT_NAMES = "short_model_names"


def short_name(model: str) -> Optional[str]:
    """`~` and six hexadecimal digits; None for a name that is as short."""
    short = "~%06x" % (zlib.crc32(model.encode("utf-8")) & 0xFFFFFF)
    return short if len(short) < len(model) else None


def long_names(models: Iterable[str]) -> Dict[str, str]:
    """Short name -> the one model that it means."""
    by_short: Dict[str, List[str]] = {}
    for model in models:
        short = short_name(model)
        if short is not None:
            by_short.setdefault(short, []).append(model)
    return {short: same[0] for short, same in by_short.items() if len(same) == 1}
