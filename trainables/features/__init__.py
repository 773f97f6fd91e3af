"""Log-mel spectrograms, masks, and the arrays that hold them."""
