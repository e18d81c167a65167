"""Assay decides whether a model may ship, shows the evidence, and keeps watch on it afterwards."""

__version__ = "0.1.0"
