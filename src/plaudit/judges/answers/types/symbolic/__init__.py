"""Formulas compared by a computer algebra system, in a process of its own that can be killed."""
