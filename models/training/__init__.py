"""Training: recipes, augmentation, the loop, checkpoints, and what is logged."""
