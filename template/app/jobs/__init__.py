"""Jobs: work that outlasts its request, each a row that says how far it is."""
