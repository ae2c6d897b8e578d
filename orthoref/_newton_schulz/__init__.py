"""The finite Newton-Schulz iteration."""
