"""What each event says to a person: titles, sentences and numbers. Pure."""
