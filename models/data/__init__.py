"""Images and labels: bundled digits, full data sets, recordings of events, tasks in time."""
