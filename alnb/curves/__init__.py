"""Learning curves: how they are drawn, tested and compared."""
