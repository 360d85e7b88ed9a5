"""From a sample to a verdict: what is asked, and how the reply is read."""
