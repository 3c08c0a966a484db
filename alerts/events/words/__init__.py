"""Words: what each event says to a person, in titles, sentences and numbers. Pure."""
