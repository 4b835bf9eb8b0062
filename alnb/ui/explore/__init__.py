"""Pages that step through recorded runs and compare them."""
