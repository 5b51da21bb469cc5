"""Files of a user: YAML with line numbers, messages, whole writes."""
