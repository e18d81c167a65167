"""The cheapest permitted change, found by asking for decisions alone: prices by the contract, relations held."""
