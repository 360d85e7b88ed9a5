"""What trainers send to a reward server, and what they expect back: a small file each."""
