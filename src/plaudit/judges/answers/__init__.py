"""How answers are compared with references: extraction, types, guards and the answer head."""
