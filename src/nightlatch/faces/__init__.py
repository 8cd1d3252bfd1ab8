"""How requests come in. A face only translates: its wire to a use case, a refusal to its wire."""
