"""What the user sees: terminal and JSON."""
