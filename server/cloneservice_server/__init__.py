"""CloneService: clone saved payment details to connected accounts and charge them there, exactly once."""
