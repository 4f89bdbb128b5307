"""Knowledge about versions, as data: profiles, known issues and measured cells. It never looks at the machine."""
