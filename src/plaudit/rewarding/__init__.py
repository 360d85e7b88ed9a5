"""Rewards for rows as trainers hand them over: what adapters and the reward server share."""
