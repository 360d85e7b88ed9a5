"""Templates, escaping and shots: from a sample to the text that an engine reads."""
