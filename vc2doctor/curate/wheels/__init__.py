"""Read released wheels without installing them: what one package imports from another, and what that one provides."""
