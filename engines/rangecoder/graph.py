"""Names of the range coder's nodes inside a graph, which TensorRT runs, and the strings that they return."""

from typing import List

import numpy as np

from splitwatt.device_configs.errors import BitstreamError

# The operators, as graphs and the TensorRT plugin name them.
ENCODER_NODE, DECODER_NODE = "SplitRangeEncode", "SplitRangeDecode"
# The output that the encoder's node replaces, and the node's own outputs.
LATENT = "latent"
WORDS, LENGTH = "words", "length"
# A third output of a packing node, inside the graph: the number of words in a row of `words`.
WORDS_COUNT = "words_count"


def strings_of(words: np.ndarray, length: np.ndarray) -> List[bytes]:
    """The strings in the node's two outputs.

    Args:
        words: int32 (N, M), little-endian words.
        length: int32 (N,), the bytes of each string; -1 for a latent that could not be coded.

    Raises:
        BitstreamError: a latent could not be coded, or a length is impossible.
    """
    strings = []
    for row, size in zip(words, length.tolist()):
        if size < 0:
            raise BitstreamError(
                "the latent holds NaN, infinity or too many symbols outside its tables",
                "look at the encoder and its input, or fit the tables to your images",
            )
        if size > 4 * len(row):
            raise BitstreamError(
                "the engine states %d bytes and returned %d" % (size, 4 * len(row)),
                "build the engines again with splitwatt build",
            )
        strings.append(row.astype("<i4", copy=False).tobytes()[:size])
    return strings
