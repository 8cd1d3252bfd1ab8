"""How we reach out: one package per port. Adapters know ports and domain, never each other."""
