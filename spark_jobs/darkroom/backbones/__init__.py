"""Named pre-trained networks, where their weights come from, and the embedded one."""
