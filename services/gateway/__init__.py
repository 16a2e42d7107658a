"""The sockets: JSON-RPC in, requests to the services out, and every event a connection may see, in order."""
