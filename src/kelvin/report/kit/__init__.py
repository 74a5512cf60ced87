"""Parts that every figure, table and sentence is made of."""
