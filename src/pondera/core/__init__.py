"""Mathematics: NumPy at most; no framework, no input or output, no global state."""
