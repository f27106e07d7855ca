"""What runs in Lava's own Python."""
