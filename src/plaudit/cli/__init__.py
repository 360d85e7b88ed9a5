"""The command line. One file a group of commands; what they print is in `display`."""

from plaudit.cli.app import main

__all__ = ["main"]
