"""Types of answers, a module each: what they apply to, and when two are equal."""
