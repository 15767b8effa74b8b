"""From an image to an answer: preprocessing, parts, codec, postprocessing."""
