"""The Stiefel manifold of matrices with orthonormal columns: tangents, metrics, retractions, geodesics, transports."""
