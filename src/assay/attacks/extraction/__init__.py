"""Model extraction: what a copy made of answers alone is worth, and what it costs."""
