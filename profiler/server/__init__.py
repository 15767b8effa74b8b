"""The embedded server: the Open Inference Protocol v2 over HTTP. It needs Python >= 3.10."""

# board: no
