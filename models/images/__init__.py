"""The zoo's images: known data sets, patches of pictures of one's own, and dead leaves, each in a file of its own."""
