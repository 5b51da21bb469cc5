"""What a run found out: tables, schema, checks, files, summary, provenance, pricing anew."""
