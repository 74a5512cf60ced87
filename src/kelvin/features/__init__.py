"""What images are measured by: extractors of features, and the real data seen through them."""
