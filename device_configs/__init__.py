"""The machines that splitwatt knows, and what all rooms share: errors, names, files, commands.

The modules import each other one way: those on a line only from lines above it.

    errors, printable, nvml
    files, names, version
    input                           text, JSON and YAML from anywhere, checked
    targets, install, child
    detect, cli
    diagnosis, progress, targets_cli
    doctor
"""
