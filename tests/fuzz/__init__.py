"""Fuzzers: of the range coder under sanitizers (`run.sh`), of files and run folders (`__main__.py`)."""
