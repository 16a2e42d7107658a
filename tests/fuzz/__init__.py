"""What strangers may send: frames, sockets' bytes, images, and the params of every method, generated and kept."""
