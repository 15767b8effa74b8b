"""The bundle: the folder that an export writes, and its manifest."""
