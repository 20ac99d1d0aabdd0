"""A fitted model: how it is fitted, evaluated and asked, its folder and its card. Importing it imports no torch."""
