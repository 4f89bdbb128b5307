"""What happens: a short real training in the target interpreter. The worker reports, ``outcome`` judges."""
