"""What the plots have in common: panels, axes, members of a comparison, inputs and visuals."""
