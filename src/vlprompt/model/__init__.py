"""A fitted model: how a method is chosen and fitted. Nothing here imports torch before it computes."""
