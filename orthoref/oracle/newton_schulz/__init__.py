"""What the oracle knows of finite Newton-Schulz iterations."""
