"""Backdoors looked for in a model itself: few values that steer any row to one answer, and what speaks for nature."""
