"""From spikes back to values and decisions."""
