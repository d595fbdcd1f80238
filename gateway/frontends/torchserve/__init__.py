"""TorchServe's protocol in."""
