"""Token ids of conversations: what was read and sampled, and masks of it, for any chat template."""
