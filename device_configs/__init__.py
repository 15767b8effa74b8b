"""The machines that splitwatt knows, and what every room stands on: errors, names, files, commands."""
