"""What is known of models and of libraries, as tables."""
