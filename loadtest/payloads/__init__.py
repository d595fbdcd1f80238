"""What is asked: the inputs of the requests, before they are encoded."""
