"""The server on many machines (Ray Serve), or behind Triton."""
