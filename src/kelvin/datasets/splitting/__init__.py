"""Which images train and which are held out, by images, groups, folds and classes."""
