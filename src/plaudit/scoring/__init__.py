"""From raw scores to trusted ones: order, votes, calibration."""
