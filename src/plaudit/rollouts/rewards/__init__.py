"""Rewards: what a rollout is worth, told from what the model did and nothing else."""
