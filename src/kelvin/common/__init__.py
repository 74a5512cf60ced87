"""What every part stands on; none of it knows of images or diffusion."""
