"""The version of splitwatt: of the package, of every bundle and of every run."""

__version__ = "0.1.0"
