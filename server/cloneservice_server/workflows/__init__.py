"""What the service does: the engine that records before it acts, and one module per workflow."""
