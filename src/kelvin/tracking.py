def publish_missing(): pass
