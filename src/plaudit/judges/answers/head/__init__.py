"""The answer head: features of an answer, and the trees that read them."""
