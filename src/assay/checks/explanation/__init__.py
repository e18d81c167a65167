"""Checks of what a model's decisions rest on, and whether an explanation of them can be believed."""
