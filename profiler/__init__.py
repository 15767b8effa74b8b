"""The profiler: it times what engines does, on this machine against a server, and writes a run."""
