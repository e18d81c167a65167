"""Inputs that take a model much longer than usual rows."""
