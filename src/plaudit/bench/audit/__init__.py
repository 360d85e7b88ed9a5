"""Judges under transformations and attacks: how biased they are, and how easily misled."""
