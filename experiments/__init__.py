"""What makes our own documents from runs of the product; not part of the wheel."""
