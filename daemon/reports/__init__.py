"""Reports as the process makes them: what is due, the facts from the store, the charts, and sending each once."""
