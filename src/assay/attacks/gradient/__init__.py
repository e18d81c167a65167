"""White-box evasion of small networks and linear models by their gradients, with bounds below what was found."""
