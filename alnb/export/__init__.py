"""What leaves a session: masks, clicks, curves, the model card."""
