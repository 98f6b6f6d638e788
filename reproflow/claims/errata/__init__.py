"""E01 to E27: what is printed wrong in the sources, beside what is right; both are executed."""
