"""Judging optimisers: a port is made, shown gradients, and read after every step.

This room has an engine of its own instead of a row. A row is a function of arrays: its inputs are drawn once, its
outputs are judged by themselves, and a case is recreated from one line. An optimiser is an object that is made from
parameters and settings, changes them in place and remembers: what is judged is a transition between two states that
the port itself has reached, in the settings that it takes, and half of what can go wrong (a buffer in the memory of the
gradient, a rate that is read once) is not a function of the arrays of one call. A case would have to carry a history.

- ``drive``: what a port is, and how it is run and read
- ``ratios``: the exact step from the port's own state, and how far rounding may move it, equation (MUON-UNIT)
- ``reasons``: every switch and every known mistake as another step from the same state
- ``judge``: the settings in which a port is shown, the verdict and the report
"""
