"""Register-exact reference models, written from the documents and never from the RTL."""
