"""The way to Stripe: the only package that imports the Stripe SDK, and the only one that sets Stripe-Account."""
