"""The event-driven engine: only what spikes costs time."""
