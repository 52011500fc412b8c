"""Who may call, and for what: identities, bearer tokens, the policy. Pure: no gRPC, no ledger, no clock of its own."""
