"""What the code does: where names lead, what values can be, which regions, scalers, loops and weights there are."""
