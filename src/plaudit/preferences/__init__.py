"""Preference data: from scored candidates to pairs that deserve to be learned from."""
