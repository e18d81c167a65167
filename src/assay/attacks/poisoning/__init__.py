"""Poisoning of training data, seeded, with the truth about what was planted; success is measured, never assumed."""
