"""The paper's experiments: planned, run, summarised and drawn."""
