"""Rewards for language models that can be trusted."""
