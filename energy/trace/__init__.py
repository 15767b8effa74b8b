"""Power traces: the samples of rails over time, on disk and checked."""
