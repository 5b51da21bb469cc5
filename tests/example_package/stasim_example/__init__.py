"""Parts for STASim from another package: see docs/extending.md."""
