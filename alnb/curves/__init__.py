"""Learning curves: drawn, compared, and photographed."""
