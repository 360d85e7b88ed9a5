"""What is an answer's own fault: hedging, lists of candidates, denial, injections."""
