"""Files by path or URI: opened, copied to this machine, and kept by their digest."""
