"""TensorFlow Serving's protocol in."""
