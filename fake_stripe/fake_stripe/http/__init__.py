"""The HTTP protocol of Stripe: forms, keys, idempotency, headers."""
