"""Simulated runs and what is drawn from them."""
