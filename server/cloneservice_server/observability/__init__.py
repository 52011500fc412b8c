"""What an operator sees: metrics, traces, readiness, the admin port. Nothing here changes what the service does."""
