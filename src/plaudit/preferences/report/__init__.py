"""What pairs are like, measured before they are learned from."""
