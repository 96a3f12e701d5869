"""Commands that need nothing but the contract: tail, audit, contract."""
