"""What ships with hexplan: datasheet figures of devices, and sizes of models."""
