"""Checks of theft: can the model be copied by asking it."""
