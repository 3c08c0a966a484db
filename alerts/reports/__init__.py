"""Reports: statements balanced to the cent, and the mail, text and table that carry them. Pure."""
