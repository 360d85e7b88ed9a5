"""Rewards: what a rollout is worth, read from what the model did and nothing else."""
