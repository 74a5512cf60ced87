"""What every figure, table and sentence is made with."""
