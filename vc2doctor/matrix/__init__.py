"""What is known: profiles, known issues and measured cells, as data. It never looks at the machine."""
