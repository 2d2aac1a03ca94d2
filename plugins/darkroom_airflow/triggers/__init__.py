"""What waiting tasks wait for."""
