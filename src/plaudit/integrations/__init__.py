"""Adapters to trainers, one file each: they translate, and decide nothing."""
