"""What every other package builds on: data, errors, versions, precision, child processes, files."""
