"""For maintainers: build and measure cells, read wheels, plan, merge, and compile the matrix."""
