"""Great Expectations over what is known of the images; pixels are never read here."""
