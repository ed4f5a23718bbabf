"""The pages that `report` and `compare` write."""
