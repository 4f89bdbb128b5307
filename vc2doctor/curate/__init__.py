"""For maintainers: build and measure cells, read wheels, plan measurements, merge evidence, and compile the matrix."""
