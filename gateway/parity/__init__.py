"""Do the servers still answer as the model's source did? Asked of a server once, and of all of them all the time."""
