"""Data sets as their authors lay them out, checked whole before anything runs."""
