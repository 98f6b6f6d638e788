"""Claims: statements about losses, paths and weightings, each computed, judged, and tried against a false copy."""
