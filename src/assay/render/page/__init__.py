"""The HTML report's sections, one module each."""
