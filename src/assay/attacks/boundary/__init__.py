"""Black-box attacks in the neighbourhood of the decision boundary, for any model and norm."""
