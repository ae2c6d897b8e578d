"""What the oracle knows of the polar decomposition."""
