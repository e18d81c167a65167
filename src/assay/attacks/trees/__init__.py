"""White-box evasion of tree ensembles: the cells between their thresholds, the nearest that passes, and the proof."""
