"""The subcommands of `splitwatt energy`."""
