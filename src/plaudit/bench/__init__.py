"""Judges measured against people: labelled sets, and what is measured on them."""
