"""What a method says of held-out data: the bound, importance weights, the exact value, each in bits with its error."""
