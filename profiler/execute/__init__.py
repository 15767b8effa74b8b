"""Running a profile: its plan, its blocks, its server."""
