"""The loop: the only room that knows Lightning."""
