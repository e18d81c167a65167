"""What an honest person could change to get another decision: the search of evasion under their own constraints."""
