"""The reward server: one specification of rewards, and the protocols that trainers speak."""
