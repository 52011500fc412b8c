"""The contract's RPCs as pure functions: arguments in, a `Call` out. The sync and the asyncio client share them all."""
