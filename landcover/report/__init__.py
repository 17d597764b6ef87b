"""The month's report: one page that a person reads, made of what a run found."""
