"""Parts of plots: panels and their legend, axes, what is drawn for each method, checks of inputs, images and arrows."""
