"""Servers that plaudit starts and ends."""
