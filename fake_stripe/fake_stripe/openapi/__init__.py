"""What Stripe's OpenAPI document says, as facts: routes, parameter trees, response shapes, expandable members."""
