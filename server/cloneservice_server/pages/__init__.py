"""The admin page: what the ledger knows, for the person on call. It reads and never writes; see docs/security.md."""
