"""Log-mel spectrograms, filterbanks, masks, and the arrays that hold them."""
