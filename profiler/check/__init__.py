"""The audit of a run: do its records fit its plan and each other, and is each file what it was?"""
