"""Training of Keras networks on columns of pictures and labels."""
