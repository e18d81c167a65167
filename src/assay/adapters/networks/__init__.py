"""Small networks and linear models as arrays: read out of what holds them, for attacks that follow gradients."""
