"""A report as files: Markdown, CSV, LaTeX, JSON, and a page."""
