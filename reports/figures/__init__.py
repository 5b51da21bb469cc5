"""The figures of a page, from results and their summaries."""
