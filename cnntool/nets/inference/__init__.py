"""What is done with a network: pictures in, answers and layers out."""
