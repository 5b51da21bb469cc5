"""What a run found out: tables, schema, checks, files, summary, provenance, repricing."""
