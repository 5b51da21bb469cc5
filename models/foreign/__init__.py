"""Networks of other code bases by name: a function that returns one, or a NIR graph."""
