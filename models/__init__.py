"""The zoo: each file declares one experiment; nothing runs at import."""
