"""Learn the prompt, keep the model."""
