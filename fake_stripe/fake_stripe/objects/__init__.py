"""One module per Stripe resource; each registers its operations with `registry`."""
