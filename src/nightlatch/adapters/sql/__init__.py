"""The ``Store`` port in SQL: the statements and their order, for whichever database runs them."""
