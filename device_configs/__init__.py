"""The machines that splitwatt knows, and what all rooms share: errors, names, files, commands."""
