"""REST: answers from the streams and last values on the bus."""
