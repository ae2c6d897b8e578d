"""The table: one row per operation, from which conformance runs, tests, docs and benchmarks iterate."""

from __future__ import annotations

from orthoref.oracle.constructors import derivative_row as constructor_derivative
from orthoref.oracle.constructors import random_row as random_matrices
from orthoref.oracle.constructors import row as constructors
from orthoref.oracle.newton_schulz import derivative_row as newton_schulz_derivative
from orthoref.oracle.newton_schulz import row as newton_schulz
from orthoref.oracle.operation import Operation
from orthoref.oracle.polar import derivative_row as polar_derivative
from orthoref.oracle.polar import row as polar
from orthoref.oracle.stiefel import derivative_row as stiefel_derivative
from orthoref.oracle.stiefel import row as stiefel

OPERATIONS: dict[str, Operation] = {row.name: row for row in (polar.ROW, newton_schulz.ROW)}
DERIVATIVES: dict[str, Operation] = {row.name: row for row in (*polar_derivative.ROWS, *newton_schulz_derivative.ROWS)}
GEOMETRY: dict[str, Operation] = {row.name: row for row in stiefel.ROWS}  # points, tangents and gradients
TANGENT_MAPS: dict[str, Operation] = {row.name: row for row in stiefel_derivative.ROWS}  # derivatives of these
CONSTRUCTORS: dict[str, Operation] = {
    row.name: row for row in (*constructors.ROWS, *random_matrices.ROWS, *constructor_derivative.ROWS)
}
ROWS = OPERATIONS | DERIVATIVES | GEOMETRY | TANGENT_MAPS | CONSTRUCTORS
