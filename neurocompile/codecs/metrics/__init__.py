"""What a code is worth: information, reconstruction, spikes, energy and time."""
