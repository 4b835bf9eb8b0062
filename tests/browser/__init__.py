"""A real Chromium against a real Voila; a package, so that its browser ends with its tests."""
