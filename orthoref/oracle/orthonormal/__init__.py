"""What the oracle knows of orthonormal columns."""
