"""Measures of trained models: likelihood, FID, and the statistics that carry their error bars."""
