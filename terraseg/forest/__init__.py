"""The traditional classifier: a forest of decision trees on what is seen around each pixel, at several scales."""
