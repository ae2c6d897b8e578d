"""What the oracle knows of the manifold of matrices with orthonormal columns."""
