"""asv benchmarks of orthoref; README.md beside this package says how to run them and what the numbers mean."""
