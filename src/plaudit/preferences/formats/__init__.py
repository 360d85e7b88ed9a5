"""What candidates are read from: a module for each kind of file, and what tells them apart."""
