"""Keys and values in host memory, of which steps fetch what the layer before expects to matter."""
